import { createKeyv } from '@keyv/redis';
import { createCache } from 'cache-manager';
import { KeyvCacheableMemory } from 'cacheable';
import { Keyv } from 'keyv';
import { HOUR_MS, missed } from '../lib/payload.mjs';
import { HOST } from '../lib/server.mjs';

const memoryStore = (lruSize) => new Keyv({ store: new KeyvCacheableMemory({ lruSize, ttl: HOUR_MS }) });
const serverStore = (port, options) => createKeyv(`redis://${HOST}:${port}`, options);

const reader = (cache) => ({
  fill: (key, value) => cache.set(key, value, HOUR_MS),
  read: (key) => cache.wrap(key, () => missed(key), HOUR_MS),
  close: () => cache.disconnect(),
});

export default {
  packages: ['cache-manager', '@keyv/redis', 'cacheable'],
  memory: {
    'cache-manager': () => reader(createCache()),
    'cache-manager, bounded (cacheable)': ({ maxEntries }) =>
      reader(createCache({ stores: [memoryStore(maxEntries)] })),
  },
  server: {
    'cache-manager + @keyv/redis': ({ port }) => {
      const cache = createCache({ stores: [serverStore(port)] });
      const write = (key, value) => cache.set(key, value, HOUR_MS);
      return {
        fill: write,
        read: (key) => cache.get(key),
        write,
        writeMany: (entries) => cache.mset(entries.map(([key, value]) => ({ key, value, ttl: HOUR_MS }))),
        nameOf: (prefix, id) => `${prefix}::${id}`,
        // It cannot delete by pattern; a namespace is the nearest thing.
        async deleteByPrefix(namespace) {
          const part = createCache({ stores: [serverStore(port, { namespace })] });
          await part.clear();
          await part.disconnect();
        },
        close: () => cache.disconnect(),
      };
    },
  },
  tiered: {
    'cache-manager + @keyv/redis': ({ port }) => {
      const cache = createCache({ stores: [memoryStore(10_000), serverStore(port)] });
      return { getOrSet: (key, factory) => cache.wrap(key, factory, HOUR_MS), close: () => cache.disconnect() };
    },
  },
};
