import { BentoCache, bentostore } from 'bentocache';
import { memoryDriver } from 'bentocache/drivers/memory';
import { redisBusDriver, redisDriver } from 'bentocache/drivers/redis';
import { missed } from '../lib/payload.mjs';
import { connect, HOST } from '../lib/server.mjs';

const TTL = '1h';
const stack = (store) => new BentoCache({ default: 'store', prefix: 'bento', stores: { store } });
const onServer = (port) => redisDriver({ connection: connect(port) });

function inMemory(maxItems, serialize) {
  const cache = stack(bentostore().useL1Layer(memoryDriver({ maxItems, serialize })));
  return {
    fill: (key, value) => cache.set({ key, value, ttl: TTL }),
    read: (key) => cache.getOrSet({ key, factory: () => missed(key), ttl: TTL }),
    close: () => cache.disconnectAll(),
  };
}

export default {
  packages: ['bentocache'],
  memory: {
    bentocache: ({ maxEntries }) => inMemory(maxEntries, true),
    'bentocache, shared objects': ({ maxEntries }) => inMemory(maxEntries, false),
  },
  server: {
    bentocache: ({ port }) => {
      const cache = stack(bentostore().useL2Layer(onServer(port)));
      const write = (key, value) => cache.set({ key, value, ttl: TTL });
      return {
        fill: write,
        read: (key) => cache.get({ key }),
        write,
        writeMany: (entries) => Promise.all(entries.map(([key, value]) => write(key, value))),
        nameOf: (prefix, id) => `bento:${prefix}:${id}`,
        deleteByPrefix: (prefix) => cache.namespace(prefix).clear(),
        close: () => cache.disconnectAll(),
      };
    },
  },
  tagged: {
    bentocache: ({ port }) => {
      const cache = stack(bentostore().useL2Layer(onServer(port)));
      return {
        fill: (key, value) => cache.set({ key, value, ttl: TTL, tags: ['tag'] }),
        fillUntagged: (key, value) => cache.set({ key, value, ttl: TTL }),
        read: (key) => cache.get({ key }),
        deleteByTag: () => cache.deleteByTag({ tags: ['tag'] }),
        close: () => cache.disconnectAll(),
      };
    },
  },
  tiered: {
    bentocache: ({ port }) => {
      const bus = redisBusDriver({ connection: { host: HOST, port } });
      const store = bentostore()
        .useL1Layer(memoryDriver({ maxItems: 10_000 }))
        .useL2Layer(onServer(port))
        .useBus(bus);
      const cache = stack(store);
      return {
        getOrSet: (key, factory) => cache.getOrSet({ key, factory, ttl: TTL }),
        close: () => cache.disconnectAll(),
      };
    },
  },
};
