export type Platform = 'express' | 'fastify';

/** What the application below prints. */
export const APP_OUTPUT = {
  greeting: { text: 'hello' },
  answer: 42,
  pages: [
    { id: '7', reads: 1 },
    { id: '7', reads: 1 },
  ],
  isLocked: false,
  refusal: 'KEEP_INVALID_TTL',
};

/** `main.ts` of a small application that uses the installed package over HTTP, prints what came of it, and ends. */
export const appSource = (platform: Platform): string => `
import 'reflect-metadata';
import { Controller, Get, Injectable, Module, Param } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
${platform === 'fastify' ? "import { FastifyAdapter } from '@nestjs/platform-fastify';" : ''}
import { Cacheable, CacheModule, CacheService, isInvalidTtlError, LockService, type CacheModuleOptions } from 'nestjs-keep';

interface Product {
  readonly id: string;
  readonly reads: number;
}

@Injectable()
class Products {
  private reads = 0;

  constructor(readonly cache: CacheService, readonly locks: LockService) {}

  @Cacheable({ ttl: '1m', key: 'product:{id}', tags: (product) => ['product:' + product.id] })
  async find(id: string): Promise<Product> {
    return Promise.resolve({ id, reads: ++this.reads });
  }
}

@Controller('products')
class ProductsController {
  constructor(private readonly products: Products) {}

  @Get(':id')
  find(@Param('id') id: string): Promise<Product> {
    return this.products.find(id);
  }
}

const options: CacheModuleOptions = { keys: { prefix: 'shop' } };

@Module({ imports: [CacheModule.forRoot(options)], controllers: [ProductsController], providers: [Products] })
class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule, ${platform === 'fastify' ? 'new FastifyAdapter(), ' : ''}{ logger: ['error', 'warn'] });
  await app.listen(0, '127.0.0.1');
  const address = \`\${await app.getUrl()}/products/7\`;
  const { cache, locks } = app.get(Products);
  await cache.set('greeting', { text: 'hello' }, '1m');
  const greeting: { text: string } | undefined = await cache.get<{ text: string }>('greeting');
  const answer: number = await cache.getOrSet('answer', '1m', () => 42);
  const pages = [await read(address), await read(address)];
  const isLocked: boolean = await locks.isHeld('products');
  const refusal = await cache.set('greeting', 'hello', -1).catch((error: unknown) =>
    isInvalidTtlError(error) ? error.code : 'unknown',
  );
  await app.close();
  console.log(JSON.stringify({ greeting, answer, pages, isLocked, refusal }));
}

const read = async (address: string): Promise<unknown> => (await fetch(address)).json();

void main();
`;

/** Strict, and declarations of packages are checked too. */
export const compilerOptions = {
  target: 'es2022',
  lib: ['es2022'],
  types: ['node'],
  strict: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true,
  outDir: 'dist',
};
