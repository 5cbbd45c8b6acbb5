import { ConfigurableModuleBuilder } from '@nestjs/common';
import type { GatewayOptions } from './gateway.options.ts';

/** What `useClass` and `useExisting` of `forRootAsync` name a class of. */
export interface GatewayOptionsFactory {
  createGatewayOptions(): GatewayOptions | Promise<GatewayOptions>;
}

export const { ConfigurableModuleClass, MODULE_OPTIONS_TOKEN } = new ConfigurableModuleBuilder<GatewayOptions>({
  moduleName: 'NestjsKeepGateway',
})
  .setClassMethodName('forRoot')
  .setFactoryMethodName('createGatewayOptions')
  .build();
