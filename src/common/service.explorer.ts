import { Injectable, type InjectionToken, type OnModuleInit } from '@nestjs/common';
import { ModuleRef, ModulesContainer } from '@nestjs/core';
import { fillReservations } from './wrap-method.ts';
import { wrappersOf } from './wrapped-methods.ts';

/**
 * Gives instances that Nest did not build itself (`useFactory`, `useValue`) the services their decorated methods ask
 * for. Nest injects properties into classes only. What is made later, by a factory with request scope or in a lazily
 * loaded module, is out of reach: such a class is provided with `useClass`.
 */
@Injectable()
export class ServiceExplorer implements OnModuleInit {
  constructor(
    private readonly modules: ModulesContainer,
    private readonly moduleRef: ModuleRef,
  ) {}

  onModuleInit(): void {
    for (const { isNotMetatype, instance } of wrappersOf(this.modules)) {
      const value: unknown = isNotMetatype ? instance : undefined;
      if (typeof value === 'object' && value !== null) fillReservations(value, (token) => this.find(token));
    }
  }

  private find(token: InjectionToken): unknown {
    try {
      return this.moduleRef.get(token, { strict: false });
    } catch {
      return undefined;
    }
  }
}
