import type { TestingModule } from '@nestjs/testing';
import { Test } from '@nestjs/testing';
import { CacheModule, CacheService, type CacheModuleOptions } from '../../src/index.ts';

export interface CacheApp {
  readonly cache: CacheService;
  readonly module: TestingModule;
  close(): Promise<void>;
}

/** An application with nothing but the module, as a user's unit test would build it. */
export async function openCacheApp(options: CacheModuleOptions = {}): Promise<CacheApp> {
  const module = await Test.createTestingModule({ imports: [CacheModule.forRoot(options)] }).compile();
  await module.init();
  return { cache: module.get(CacheService), module, close: () => module.close() };
}
