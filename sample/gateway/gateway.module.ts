import { Module } from '@nestjs/common';
import { GatewayModule } from 'nestjs-keep/gateway';
import { GatewayController } from './gateway.controller.ts';
import { upstreams } from './upstreams.ts';

@Module({
  imports: [GatewayModule.forRootAsync({ useFactory: () => ({ upstreams: upstreams(process.env) }) })],
  controllers: [GatewayController],
})
export class SampleGatewayModule {}
