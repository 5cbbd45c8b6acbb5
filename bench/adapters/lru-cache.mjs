import { LRUCache } from 'lru-cache';
import { HOUR_MS, missed } from '../lib/payload.mjs';

export default {
  packages: ['lru-cache'],
  memory: {
    'lru-cache': ({ maxEntries }) => {
      const cache = new LRUCache({ max: maxEntries, ttl: HOUR_MS });
      return {
        isSync: true,
        fill: (key, value) => cache.set(key, value),
        read: (key) => cache.get(key),
        close: () => cache.clear(),
      };
    },
    'lru-cache fetch()': ({ maxEntries }) => {
      const cache = new LRUCache({ max: maxEntries, ttl: HOUR_MS, fetchMethod: missed });
      return {
        fill: (key, value) => cache.set(key, value),
        read: (key) => cache.fetch(key),
        close: () => cache.clear(),
      };
    },
  },
};
