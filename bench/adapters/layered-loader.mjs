import { Loader, RedisCache } from 'layered-loader';
import { HOUR_MS, missed } from '../lib/payload.mjs';
import { connect } from '../lib/server.mjs';

/** Its source is bound when it is built: the factory of a call goes through a field. */
function build({ memory, server, maxEntries = 10_000 }) {
  let factory = missed;
  const asyncCache = server && new RedisCache(server, { json: true, prefix: 'layered', ttlInMsecs: HOUR_MS });
  const loader = new Loader({
    inMemoryCache: memory && { cacheType: 'lru-map', maxItems: maxEntries, ttlInMsecs: HOUR_MS },
    asyncCache,
    dataSources: [{ name: 'factory', get: (key) => factory(key), getMany: async () => [] }],
  });
  const getOrSet = (key, own) => {
    factory = own;
    return loader.get(key);
  };
  return {
    getOrSet,
    fill: (key, value) => (asyncCache ?? loader.inMemoryCache).set(key, value),
    read: (key) => getOrSet(key, missed),
    write: asyncCache && ((key, value) => asyncCache.set(key, value)),
    close: () => server?.disconnect(),
  };
}

export default {
  packages: ['layered-loader'],
  memory: { 'layered-loader': ({ maxEntries }) => build({ memory: true, maxEntries }) },
  server: { 'layered-loader': ({ port }) => build({ memory: false, server: connect(port) }) },
  tiered: { 'layered-loader': ({ port }) => build({ memory: true, server: connect(port) }) },
};
