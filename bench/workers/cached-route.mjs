/** An application with one route, in a process of its own: `cached-route.mjs platform variant bytes [port of a server]`. */
import 'reflect-metadata';
import { CacheInterceptor, CacheModule as PeerModule } from '@nestjs/cache-manager';
import { createKeyv } from '@keyv/redis';
import { Controller, Get, Module, UseGuards, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createServer } from 'node:http';
import process from 'node:process';
import { Cacheable, CacheModule } from 'nestjs-keep';
import { HOUR_MS, page } from '../lib/payload.mjs';
import { HOST } from '../lib/server.mjs';
import { serve } from '../lib/worker.mjs';

const [platform, variant, bytes, serverPortText] = process.argv.slice(2);
const serverPort = Number(serverPortText);
const BODY = page(Number(bytes));

class AllowAll {
  canActivate() {
    return true;
  }
}

const ours = (options) => ({
  imports: [CacheModule.forRoot({ redis: false, metrics: { enabled: false }, ...options })],
  onMethod: [Cacheable({ ttl: '1h', jitter: 0, scope: 'public' })],
});
const peer = (options) => ({
  imports: [PeerModule.register({ ttl: HOUR_MS, ...options })],
  onClass: [UseInterceptors(CacheInterceptor)],
});

const variants = {
  'bare handler': () => ({}),
  guard: () => ({ onClass: [UseGuards(AllowAll)] }),
  'nestjs-keep, memory': () => ours(),
  'nestjs-keep, memory, guard': () => ({ ...ours(), onClass: [UseGuards(AllowAll)] }),
  // Every read goes to the server, unless it is of the key that was read last.
  'nestjs-keep, server': () => ours({ redis: { host: HOST, port: serverPort }, cache: { l1: { maxEntries: 1 } } }),
  '@nestjs/cache-manager, memory': () => peer(),
  '@nestjs/cache-manager, server': () => peer({ stores: [createKeyv(`redis://${HOST}:${serverPort}`)] }),
};

/** What a cached answer costs where there is nothing but Node. */
async function listenRaw() {
  const text = JSON.stringify(BODY);
  const headers = { 'content-type': 'application/json; charset=utf-8', 'content-length': Buffer.byteLength(text) };
  const server = createServer((_, response) => response.writeHead(200, headers).end(text));
  await new Promise((resolve) => server.listen(0, HOST, resolve));
  return server.address().port;
}

async function listenWithNest({ imports = [], onClass = [], onMethod = [] }) {
  class Pages {
    find() {
      return BODY;
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Pages.prototype, 'find');
  for (const decorate of [Get(':id'), ...onMethod]) decorate(Pages.prototype, 'find', descriptor);
  Object.defineProperty(Pages.prototype, 'find', descriptor);
  for (const decorate of [Controller('pages'), ...onClass]) decorate(Pages);
  class Root {}
  Module({ imports, controllers: [Pages] })(Root);
  const app = await NestFactory.create(Root, await adapter(), { logger: false });
  await app.listen(0, HOST);
  return app.getHttpServer().address().port;
}

async function adapter() {
  if (platform === 'express') return new (await import('@nestjs/platform-express')).ExpressAdapter();
  return new (await import('@nestjs/platform-fastify')).FastifyAdapter();
}

const listening = variant === 'raw: node:http' ? listenRaw() : listenWithNest(variants[variant]());

serve({
  port: () => listening,
  cpuNs: () => {
    const { user, system } = process.cpuUsage();
    return (user + system) * 1e3;
  },
});
