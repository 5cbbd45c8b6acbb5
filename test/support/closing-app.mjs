// An application that is in the middle of everything, closes, and then has nothing to do: it exits unless something was left behind.
import { performance } from 'node:perf_hooks';
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheModule, CacheService, CircuitBreakerService, LockService } from 'nestjs-keep';

class AppModule {}
Module({ imports: [CacheModule.forRoot(JSON.parse(process.env.APP_OPTIONS))] })(AppModule);

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const app = await NestFactory.createApplicationContext(AppModule, { logger: false });
const [cache, locks, breakers] = [CacheService, LockService, CircuitBreakerService].map((service) => app.get(service));

await cache.subscribe('news', () => undefined, { onResync: () => undefined });
const options = { ttl: '1s', grace: '60s', earlyRefresh: 0.1, staleWhileRevalidate: true };
const loads = Array.from({ length: 100 }, (_, i) =>
  cache.getOrSet(`load:${i}`, options, () => sleep(200).then(() => i)),
);
await Promise.all(Array.from({ length: 10 }, (_, i) => locks.acquire(`lock:${i}`, { ttl: '60s' })));
await breakers.execute('source', () => Promise.reject(new Error('broken'))).catch(() => undefined);
await cache.checkRateLimit('limit', 10, 60);
await cache.delByTag('whatever');
process.send({ isBusy: true });
// The test hurts the server now, or does not.
await new Promise((resolve) => process.once('message', resolve));
const startedAt = performance.now();
await app.close();
const values = await Promise.all(loads);
process.send({ closedInMs: performance.now() - startedAt, loaded: values.length });
// The channel to the test is the one handle that is not ours.
process.disconnect();
