import { createCache } from 'async-cache-dedupe';
import { HOUR_MS, missed } from '../lib/payload.mjs';
import { connect } from '../lib/server.mjs';

const TTL_SECONDS = HOUR_MS / 1_000;

/** It caches the results of one function: the factory of a call goes through a field. */
function build(storage, { references, close = () => undefined } = {}) {
  const values = new Map();
  let factory = missed;
  const cache = createCache({ ttl: TTL_SECONDS, storage });
  cache.define('find', { references }, (key) => values.get(key) ?? factory(key));
  const getOrSet = (key, own) => {
    factory = own;
    return cache.find(key);
  };
  return {
    cache,
    getOrSet,
    fill(key, value) {
      values.set(key, value);
      return cache.find(key).finally(() => values.delete(key));
    },
    read: (key) => getOrSet(key, missed),
    close,
  };
}

function onServer(port, { references, ...options } = {}) {
  const client = connect(port);
  return build({ type: 'redis', options: { client, ...options } }, { references, close: () => client.disconnect() });
}

export default {
  packages: ['async-cache-dedupe'],
  memory: { 'async-cache-dedupe': ({ maxEntries }) => build({ type: 'memory', options: { size: maxEntries } }) },
  server: { 'async-cache-dedupe': ({ port }) => onServer(port) },
  tiered: { 'async-cache-dedupe': ({ port }) => onServer(port) },
  tagged: {
    'async-cache-dedupe': ({ port }) => {
      const references = () => ['tag'];
      const { cache, ...api } = onServer(port, { references, invalidation: { referencesTTL: TTL_SECONDS } });
      return { ...api, deleteByTag: () => cache.invalidateAll('tag') };
    },
  },
};
