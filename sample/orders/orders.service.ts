import { Injectable, NotFoundException } from '@nestjs/common';
import { Database, type Tables } from '../database/database.ts';
import type { Order, OrderInput } from './order.ts';

@Injectable()
export class OrdersService {
  constructor(private readonly database: Database) {}

  async create(input: OrderInput): Promise<Order> {
    const created = await this.database.write((tables) => insert(tables, input));
    if (created === undefined) throw new NotFoundException(`There is no product ${input.productId}`);
    return created;
  }
}

function insert({ products, orders }: Tables, input: OrderInput): Order | undefined {
  if (!products.some(({ id }) => id === input.productId)) return undefined;
  const created = { id: orders.length + 1, ...input };
  orders.push(created);
  return created;
}
