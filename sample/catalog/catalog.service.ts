import { Injectable, NotFoundException } from '@nestjs/common';
import { Cacheable, CacheEvict } from 'nestjs-keep';
import { Database, type Tables } from '../database/database.ts';
import type { Product, ProductInput } from './product.ts';

@Injectable()
export class CatalogService {
  constructor(private readonly database: Database) {}

  @Cacheable({ key: 'products', tags: ['products'] })
  async list(): Promise<Product[]> {
    return this.database.read(({ products }) => products);
  }

  /** That there is no such product is not cached: errors never are. */
  @Cacheable({ key: 'product:{id}', tags: ['product:{id}'] })
  async find(id: number): Promise<Product> {
    const found = await this.database.read(({ products }) => products.find((product) => product.id === id));
    return found ?? notFound(id);
  }

  @CacheEvict({ tags: ['products'] })
  async add(input: ProductInput): Promise<Product> {
    return this.database.write((tables) => insert(tables, input));
  }

  @CacheEvict({ tags: ['products', 'product:{id}'] })
  async change(id: number, input: ProductInput): Promise<Product> {
    const changed = await this.database.write((tables) => update(tables, { id, ...input }));
    return changed ?? notFound(id);
  }
}

function insert({ products }: Tables, input: ProductInput): Product {
  const added = { id: 1 + Math.max(0, ...products.map(({ id }) => id)), ...input };
  products.push(added);
  return added;
}

function update({ products }: Tables, changed: Product): Product | undefined {
  const index = products.findIndex(({ id }) => id === changed.id);
  if (index === -1) return undefined;
  return (products[index] = changed);
}

function notFound(id: number): never {
  throw new NotFoundException(`There is no product ${id}`);
}
