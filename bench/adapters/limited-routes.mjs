/** Applications on Fastify with one route: `ask()` resolves with the status of one request. */
import 'reflect-metadata';
import { ThrottlerStorageRedisService } from '@nest-lab/throttler-storage-redis';
import { Controller, Get, Module } from '@nestjs/common';
import { APP_GUARD, NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { ThrottlerGuard, ThrottlerModule } from '@nestjs/throttler';
import { CacheModule, RateLimitGuard } from 'nestjs-keep';
import { connect, HOST } from '../lib/server.mjs';

const LIMIT = 1_000_000_000;

/** What TypeScript would make of decorators. */
function controller() {
  class Orders {
    list() {
      return 'ok';
    }
  }
  Controller('orders')(Orders);
  Get()(Orders.prototype, 'list', Object.getOwnPropertyDescriptor(Orders.prototype, 'list'));
  return Orders;
}

async function listen({ imports = [], guard, close = () => undefined }) {
  class App {}
  const providers = guard === undefined ? [] : [{ provide: APP_GUARD, useClass: guard }];
  Module({ imports, controllers: [controller()], providers })(App);
  const app = await NestFactory.create(App, new FastifyAdapter(), { logger: false });
  await app.init();
  const fastify = app.getHttpAdapter().getInstance();
  await fastify.ready();
  return {
    async ask() {
      const { statusCode } = await fastify.inject({ method: 'GET', url: '/orders' });
      if (statusCode !== 200) throw new Error(`The route answered ${statusCode}`);
    },
    async close() {
      await app.close();
      close();
    },
  };
}

function ours({ port, guard }) {
  const policies = { default: { name: 'bench', limit: LIMIT, window: '1m' } };
  const redis = port === undefined ? false : { host: HOST, port };
  const module = CacheModule.forRoot({ redis, metrics: { enabled: false }, rateLimit: { policies } });
  return listen({ imports: [module], guard });
}

function throttler({ port }) {
  const client = port === undefined ? undefined : connect(port);
  const storage = client && new ThrottlerStorageRedisService(client);
  const module = ThrottlerModule.forRoot({ throttlers: [{ ttl: 60_000, limit: LIMIT }], storage });
  return listen({ imports: [module], guard: ThrottlerGuard, close: () => client?.disconnect() });
}

export default {
  limitedRoute: {
    'no guard': () => listen({}),
    'nestjs-keep': ({ port }) => ours({ port, guard: RateLimitGuard }),
    // Whoever has the module pays for what it does to every request.
    'nestjs-keep, no guard': ours,
    '@nestjs/throttler': throttler,
  },
};
