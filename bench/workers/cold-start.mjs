/** Starts an application, says what it took, and waits to be ended. Each set is imported only where it is asked for. */
import 'reflect-metadata';
import process from 'node:process';
import { NestFactory } from '@nestjs/core';

const [set, port] = process.argv.slice(2);
const HOST = '127.0.0.1';

/** What is imported and opened before the application, and the modules of Nest that it gets. */
const sets = {
  nothing: async () => [],
  async ioredis() {
    const { Redis } = await import('ioredis');
    await new Redis({ host: HOST, port: Number(port) }).ping();
    return [];
  },
  async 'cache-manager'() {
    const [{ createCache }, { createKeyv }] = await Promise.all([import('cache-manager'), import('@keyv/redis')]);
    await createCache({ stores: [createKeyv(`redis://${HOST}:${port}`)] }).get('a');
    return [];
  },
  async bentocache() {
    const { BentoCache, bentostore } = await import('bentocache');
    const { memoryDriver } = await import('bentocache/drivers/memory');
    const { redisDriver } = await import('bentocache/drivers/redis');
    const connection = { host: HOST, port: Number(port) };
    const store = bentostore().useL1Layer(memoryDriver()).useL2Layer(redisDriver({ connection }));
    await new BentoCache({ default: 'store', stores: { store } }).get({ key: 'a' });
    return [];
  },
  async 'nestjs-keep in memory'() {
    const { CacheModule } = await import('nestjs-keep');
    return [CacheModule.forRoot({ redis: false })];
  },
  async 'nestjs-keep with a server'() {
    const { CacheModule } = await import('nestjs-keep');
    return [CacheModule.forRoot({ redis: { host: HOST, port: Number(port) } })];
  },
};

const module = { module: class Root {}, imports: await sets[set]() };
const app = await NestFactory.create(module, { logger: false });
await app.listen(0, HOST);
const { user, system } = process.cpuUsage();
process.send({ cpuUs: user + system, rss: process.memoryUsage.rss() });
