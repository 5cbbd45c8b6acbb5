export { Forward } from './forward.decorator.ts';
export { GatewayError, isGatewayError, type GatewayReason } from './gateway.errors.ts';
export { GatewayModule } from './gateway.module.ts';
export type { GatewayOptionsFactory } from './gateway.module-definition.ts';
export type {
  GatewayOptions,
  UpstreamBreaker,
  UpstreamCache,
  UpstreamOptions,
  UpstreamRetries,
  UpstreamTimeouts,
} from './gateway.options.ts';
export { GatewayService, type ForwardOptions } from './gateway.service.ts';
