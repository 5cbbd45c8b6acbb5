import { Body, Controller, Post } from '@nestjs/common';
import {
  ApiBadRequestResponse,
  ApiBearerAuth,
  ApiConflictResponse,
  ApiCreatedResponse,
  ApiNotFoundResponse,
  ApiTags,
  ApiTooManyRequestsResponse,
} from '@nestjs/swagger';
import { RateLimit, WithLock } from 'nestjs-keep';
import { order, type Order, orderInput, type OrderInput } from './order.ts';
import { OrdersService } from './orders.service.ts';

@ApiTags('orders')
@ApiBearerAuth()
@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: OrdersService) {}

  /** 20 an hour for each user, and one at a time: who clicks twice has ordered once. */
  @Post()
  @RateLimit(20, 3600)
  @WithLock('order:create', 10000)
  @ApiCreatedResponse({ standardSchema: order })
  @ApiBadRequestResponse()
  @ApiNotFoundResponse()
  @ApiConflictResponse({ description: 'The order before is not done yet' })
  @ApiTooManyRequestsResponse()
  create(@Body({ schema: orderInput }) input: OrderInput): Promise<Order> {
    return this.orders.create(input);
  }
}
