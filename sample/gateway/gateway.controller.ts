import { All, Controller, type ExecutionContext } from '@nestjs/common';
import { ApiExcludeController } from '@nestjs/swagger';
import { Forward } from 'nestjs-keep/gateway';

const serviceOf = (context: ExecutionContext): string =>
  context.switchToHttp().getRequest<{ params: { service: string } }>().params.service;

@ApiExcludeController()
@Controller('gateway')
export class GatewayController {
  /** `/gateway/products/1` is `/1` of the service `products`. */
  @All(':service/*path')
  @Forward(serviceOf)
  forward(): void {
    // The gateway answers.
  }
}
