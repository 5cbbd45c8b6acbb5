import type { INestApplication, ModuleMetadata } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import type { App } from 'supertest/types.js';
import { CacheModule, type CacheModuleOptions } from '../../src/index.ts';

export type Platform = 'express' | 'fastify';

/** For `describe.each`: nothing may work on one platform only. */
export const PLATFORMS: readonly Platform[] = ['express', 'fastify'];

export interface HttpAppOptions extends ModuleMetadata {
  readonly platform: Platform;
  /** In place of a plain one. */
  readonly adapter?: AbstractHttpAdapter;
  readonly cache?: CacheModuleOptions;
  /** What `main.ts` would do before the application listens. */
  readonly configure?: (app: INestApplication) => void | Promise<void>;
}

/** An application with the module and these controllers that answers supertest; to be closed by the caller. */
export async function openHttpApp({
  platform,
  adapter = platform === 'express' ? new ExpressAdapter() : new FastifyAdapter(),
  cache,
  configure,
  imports = [],
  ...metadata
}: HttpAppOptions): Promise<INestApplication<App>> {
  const module = await Test.createTestingModule({
    imports: [CacheModule.forRoot(cache), ...imports],
    ...metadata,
  }).compile();
  const app = module.createNestApplication<INestApplication<App>>(adapter);
  await configure?.(app);
  await app.init();
  if (platform === 'fastify') await (app as unknown as NestFastifyApplication).getHttpAdapter().getInstance().ready();
  return app;
}
