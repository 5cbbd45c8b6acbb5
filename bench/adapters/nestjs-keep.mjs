import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { CacheModule, CacheService, CircuitBreakerService, WithCircuitBreaker } from 'nestjs-keep';
import { missed } from '../lib/payload.mjs';
import { HOST } from '../lib/server.mjs';

/** No jitter: the others have none. */
const SHARED = { ttl: '1h', jitter: 0, read: 'frozen' };
const COPIED = { ttl: '1h', jitter: 0 };
/** Nothing is looked for in memory, nor put there. */
const ON_SERVER = { ttl: '1h', jitter: 0, tier: 'l2' };
const TAGGED = { ttl: '1h', jitter: 0, tags: ['tag'] };
/** Every read goes to the server, unless it is of the key that was read last. */
const NO_MEMORY = { l1: { maxEntries: 1 } };

/** The application's cache, as it would be injected. Without a port it is in memory mode. */
export async function start({ port, cache }) {
  const redis = port === undefined ? false : { host: HOST, port };
  const module = CacheModule.forRoot({ redis, cache, metrics: { enabled: false } });
  const app = await NestFactory.createApplicationContext(module, { logger: false });
  return { app, cache: app.get(CacheService), close: () => app.close() };
}

async function inMemory(options, { port, maxEntries }) {
  const { cache, close } = await start({ port, cache: { l1: { maxEntries, maxBytes: '4gb' } } });
  return {
    fill: (key, value) => cache.getOrSet(key, options, () => value),
    read: (key) => cache.getOrSet(key, options, missed),
    close,
  };
}

async function readThrough(options, { port }) {
  const { cache, close } = await start({ port, cache: NO_MEMORY });
  return {
    fill: (key, value) => cache.set(key, value, options.ttl),
    read: (key) => cache.getOrSet(key, options, missed),
    close,
  };
}

/** As an application has them: `config` is what the circuit is made with. */
const breaker =
  (callThrough) =>
  (operation, { timeoutMs, isTolerant = false }) => {
    const circuits = new CircuitBreakerService();
    const threshold = isTolerant ? { errorThresholdPercentage: 100 } : {};
    const config = { name: 'bench', timeout: timeoutMs ?? false, ...threshold };
    const call = callThrough(circuits, operation, config);
    return { call, open: () => circuits.isolate('bench'), close: () => circuits.onApplicationShutdown() };
  };

/** A provider whose only method is behind the circuit. */
function decorated(circuits, operation, config) {
  class Provider {
    run() {
      return operation();
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Provider.prototype, 'run');
  WithCircuitBreaker(config)(Provider.prototype, 'run', descriptor);
  Object.defineProperty(Provider.prototype, 'run', descriptor);
  const provider = new Provider();
  // What Nest does with the providers that it builds.
  const [slot] = Object.getOwnPropertySymbols(Provider.prototype);
  provider[slot] = circuits;
  circuits.create(operation, config);
  return () => provider.run();
}

export default {
  packages: ['nestjs-keep'],
  // In front of a server: in memory mode the tier is the same, only smaller.
  memory: {
    'nestjs-keep, frozen': (settings) => inMemory(SHARED, settings),
    'nestjs-keep, copy': (settings) => inMemory(COPIED, settings),
  },
  server: {
    'nestjs-keep': async ({ port }) => {
      const { cache, close } = await start({ port, cache: NO_MEMORY });
      return {
        fill: (key, value) => cache.set(key, value, COPIED.ttl),
        read: (key) => cache.get(key),
        write: (key, value) => cache.set(key, value, COPIED.ttl),
        writeMany: (entries) => cache.setMany(entries, COPIED.ttl),
        nameOf: (prefix, id) => `app:v1:${prefix}:${id}`,
        deleteByPrefix: (prefix) => cache.delPattern(`${prefix}:*`),
        close,
      };
    },
    'nestjs-keep, getOrSet': (settings) => readThrough(ON_SERVER, settings),
    'nestjs-keep, getOrSet frozen': (settings) => readThrough(SHARED, settings),
  },
  tagged: {
    'nestjs-keep': async ({ port }) => {
      const { cache, close } = await start({ port, cache: NO_MEMORY });
      return {
        fill: (key, value) => cache.set(key, value, { ttl: '1h', tags: TAGGED.tags }),
        fillUntagged: (key, value) => cache.set(key, value, '1h'),
        read: (key) => cache.getOrSet(key, TAGGED, missed),
        readUntagged: (key) => cache.getOrSet(key, COPIED, missed),
        deleteByTag: () => cache.delByTag('tag'),
        close,
      };
    },
  },
  breaker: {
    'nestjs-keep, fire': breaker((circuits, operation, config) => {
      const handle = circuits.create(operation, config);
      return () => handle.fire();
    }),
    'nestjs-keep, execute': breaker((circuits, operation, config) => {
      circuits.create(operation, config);
      return () => circuits.execute('bench', operation);
    }),
    'nestjs-keep, @WithCircuitBreaker': breaker(decorated),
  },
  tiered: {
    'nestjs-keep': async ({ port }) => {
      const { cache, close } = await start({ port });
      return { getOrSet: (key, factory) => cache.getOrSet(key, COPIED, () => factory(key)), close };
    },
  },
};

/** What each process says about itself twice a second, whatever its callers do. */
export const isHeartbeat = (command, message) => command === 'publish' && message.includes('told');
