/** Locks: `acquire(name)` resolves with what `release` takes, however long it has to wait. */
import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LockService } from 'nestjs-keep';
import Redlock from 'redlock';
import { Mutex } from 'redis-semaphore';
import { connect } from '../lib/server.mjs';
import { start } from './nestjs-keep.mjs';

const TTL_MS = 10_000;
const POLL_MS = 5;
const FOREVER = 1_000_000;

const RELEASE = `if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0`;

/** The fewest bytes for a lock; it has no fence, no queue and nobody who watches over it. */
function raw({ port }) {
  const client = connect(port);
  client.defineCommand('releaseLock', { numberOfKeys: 1, lua: RELEASE });
  return {
    async acquire(name) {
      const token = randomUUID();
      while ((await client.set(name, token, 'PX', TTL_MS, 'NX')) === null) await sleep(POLL_MS);
      return { name, token };
    },
    release: ({ name, token }) => client.releaseLock(name, token),
    close: () => client.disconnect(),
  };
}

async function ours({ port }) {
  const { app, close } = await start({ port });
  const locks = app.get(LockService);
  const options = Object.freeze({ ttl: `${TTL_MS}ms`, wait: '10m' });
  return { acquire: (name) => locks.acquire(name, options), release: (lock) => lock.release(), close };
}

function redlock({ port }) {
  const client = connect(port);
  const locks = new Redlock([client], { retryDelay: POLL_MS, retryJitter: 3, retryCount: FOREVER });
  return {
    acquire: (name) => locks.lock(name, TTL_MS),
    release: (lock) => lock.unlock(),
    close: () => client.disconnect(),
  };
}

function redisSemaphore({ port }) {
  const client = connect(port);
  const options = { lockTimeout: TTL_MS, acquireTimeout: 600_000, retryInterval: POLL_MS, refreshInterval: 0 };
  return {
    async acquire(name) {
      const mutex = new Mutex(client, name, options);
      await mutex.acquire();
      return mutex;
    },
    release: (mutex) => mutex.release(),
    close: () => client.disconnect(),
  };
}

export default {
  packages: ['redlock', 'redis-semaphore'],
  lock: {
    'raw: SET NX and a script': raw,
    'nestjs-keep': ours,
    redlock,
    'redis-semaphore': redisSemaphore,
  },
};
