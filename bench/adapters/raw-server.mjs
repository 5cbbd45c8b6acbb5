/** What the server and its client allow: the fewest trips for each job, and nothing around them. */
import { randomUUID } from 'node:crypto';
import { perTurn, shared } from '../lib/batchers.mjs';
import { HOUR_MS } from '../lib/payload.mjs';
import { connect } from '../lib/server.mjs';

const parsed = (text) => (text === null ? undefined : JSON.parse(text));

function plain(port, options) {
  const client = connect(port, options);
  const write = (key, value) => client.set(key, JSON.stringify(value), 'PX', HOUR_MS);
  return {
    client,
    fill: write,
    read: async (key) => parsed(await client.get(key)),
    write,
    close: () => client.disconnect(),
  };
}

function pipelined(client, entries) {
  const pipeline = client.pipeline();
  for (const [key, value] of entries) pipeline.set(key, JSON.stringify(value), 'PX', HOUR_MS);
  return pipeline.exec();
}

const SET_ALL = `for i, key in ipairs(KEYS) do redis.call('SET', key, ARGV[i + 1], 'PX', ARGV[1]) end`;

/** Writes of one turn in one script. */
function scripted(port) {
  const api = plain(port);
  api.client.defineCommand('setAll', { lua: SET_ALL });
  const writeMany = (entries) => {
    const keys = entries.map(([key]) => key);
    return api.client.setAll(keys.length, ...keys, HOUR_MS, ...entries.map(([, value]) => JSON.stringify(value)));
  };
  const write = perTurn(writeMany);
  return { ...api, writeMany, write: (key, value) => write([key, value]) };
}

/** SCAN in pages, each page removed behind the next SCAN. */
async function scanAndUnlink(client, prefix) {
  const removals = [];
  let cursor = '0';
  do {
    const [next, keys] = await client.scan(cursor, 'MATCH', `${prefix}*`, 'COUNT', 1_000);
    if (keys.length > 0) removals.push(client.unlink(keys));
    cursor = next;
  } while (cursor !== '0');
  await Promise.all(removals);
}

/** A set of keys per tag: nothing at a read, every key at a deletion. */
function tagSets(port) {
  const { client, read, write, close } = plain(port);
  return {
    fill: (key, value) => Promise.all([write(key, value), client.sadd('tag', key)]),
    fillUntagged: write,
    read,
    async deleteByTag() {
      const keys = await client.smembers('tag');
      for (let at = 0; at < keys.length; at += 1_000) await client.unlink(keys.slice(at, at + 1_000));
      await client.unlink('tag');
    },
    close,
  };
}

/** A version per tag, read together with the value: one write at a deletion. */
function tagVersions(port) {
  const { client, write, close } = plain(port);
  return {
    fill: async (key, value) => write(key, { value, version: await client.get('tag') }),
    fillUntagged: (key, value) => write(key, { value, version: null }),
    async read(key) {
      const [text, version] = await client.mget(key, 'tag');
      const entry = parsed(text);
      return entry?.version === version ? entry.value : undefined;
    },
    deleteByTag: () => client.incr('tag'),
    close,
  };
}

const ENTER = `
local value = redis.call('GET', KEYS[1])
if value then return { 'found', value } end
local isLeased = redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', 10000)
return { isLeased and 'leased' or 'wait' }`;
const LAND = `
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', 'landed', KEYS[1] .. ' ' .. ARGV[1])`;

/** One factory run over all processes: one script finds the value or takes a lease, others wait for a message. */
async function leased(port) {
  const client = connect(port);
  const subscriber = connect(port);
  const landed = new Map();
  client.defineCommand('enter', { numberOfKeys: 2, lua: ENTER });
  client.defineCommand('land', { numberOfKeys: 2, lua: LAND });
  subscriber.on('message', (_channel, message) => {
    const at = message.indexOf(' ');
    landed.get(message.slice(0, at))?.(message.slice(at + 1));
  });
  await subscriber.subscribe('landed');

  async function load([key, factory]) {
    const word = new Promise((resolve) => landed.set(key, resolve));
    const [state, text] = await client.enter(key, `lease:${key}`, randomUUID());
    if (state === 'found') return JSON.parse(text);
    if (state === 'wait') return JSON.parse(await word);
    const value = await factory(key);
    await client.land(key, `lease:${key}`, JSON.stringify(value), HOUR_MS);
    return value;
  }

  const factories = new Map();
  const loadShared = shared((key) => load([key, factories.get(key)]));
  return {
    getOrSet(key, factory) {
      factories.set(key, factory);
      return loadShared(key);
    },
    close() {
      client.disconnect();
      subscriber.disconnect();
    },
  };
}

export default {
  packages: ['ioredis'],
  server: {
    'raw: ioredis': ({ port }) => {
      const api = plain(port);
      return {
        ...api,
        writeMany: (entries) => pipelined(api.client, entries),
        nameOf: (prefix, id) => `${prefix}:${id}`,
        deleteByPrefix: (prefix) => scanAndUnlink(api.client, `${prefix}:`),
      };
    },
    'raw: ioredis, autopipelined': ({ port }) => plain(port, { enableAutoPipelining: true }),
    'raw: one MGET per turn': ({ port }) => {
      const api = plain(port);
      const read = perTurn((keys) => api.client.mget(keys));
      return { ...api, read: async (key) => parsed(await read(key)), write: undefined };
    },
    'raw: one MGET per turn, shared per key': ({ port }) => {
      const api = plain(port);
      const read = perTurn((keys) => api.client.mget(keys));
      return { ...api, read: shared(async (key) => parsed(await read(key))), write: undefined };
    },
    'raw: one script per turn': ({ port }) => ({ ...scripted(port), read: undefined }),
  },
  tagged: {
    'raw: a set of keys per tag': ({ port }) => tagSets(port),
    'raw: a version per tag': ({ port }) => tagVersions(port),
  },
  tiered: { 'raw: lease and message': ({ port }) => leased(port) },
};
