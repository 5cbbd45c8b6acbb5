import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { CacheModuleOptions } from './cache.module-options.ts';

/** What `useClass` and `useExisting` of `forRootAsync` name a class of. */
export interface CacheModuleOptionsFactory {
  createCacheOptions(): CacheModuleOptions | Promise<CacheModuleOptions>;
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN, OPTIONS_TYPE, ASYNC_OPTIONS_TYPE } =
  new ConfigurableModuleBuilder<CacheModuleOptions>({ moduleName: 'NestjsKeep' })
    .setClassMethodName('forRoot')
    .setFactoryMethodName('createCacheOptions')
    .build();
