/** Rate limits: `consume(subject)` resolves with whether one more call is admitted. */
import 'reflect-metadata';
import { ThrottlerStorageRedisService } from '@nest-lab/throttler-storage-redis';
import { ThrottlerStorageService } from '@nestjs/throttler';
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible';
import { RateLimitService } from 'nestjs-keep';
import { connect } from '../lib/server.mjs';
import { start } from './nestjs-keep.mjs';

const WINDOW_S = 60;

const COUNT = `local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return count`;

/** The fewest commands for a window: it begins with the first call, and what is refused is counted, too. */
function raw({ port, limit }) {
  const client = connect(port);
  client.defineCommand('countCall', { numberOfKeys: 1, lua: COUNT });
  return {
    consume: async (subject) => (await client.countCall(`raw:${subject}`, WINDOW_S * 1_000)) <= limit,
    close: () => client.disconnect(),
  };
}

async function ours({ port, limit }) {
  const { app, close } = await start({ port });
  const limits = app.get(RateLimitService);
  const policy = Object.freeze({ name: 'bench', limit, window: `${WINDOW_S}s` });
  return { consume: async (subject) => (await limits.consume(policy, subject)).allowed, close };
}

/** It tells by rejecting. */
const flexible = (limiter, close) => ({
  consume: (subject) =>
    limiter.consume(subject).then(
      () => true,
      (refusal) => {
        if (refusal instanceof Error) throw refusal;
        return false;
      },
    ),
  close,
});

function flexibleOnServer({ port, limit }) {
  const client = connect(port);
  const options = { points: limit, duration: WINDOW_S, inMemoryBlockOnConsumed: limit + 1 };
  return flexible(new RateLimiterRedis({ storeClient: client, ...options }), () => client.disconnect());
}

const throttled = (storage, limit, close) => ({
  async consume(subject) {
    const ms = WINDOW_S * 1_000;
    const { isBlocked } = await storage.increment(subject, ms, limit, ms, 'bench');
    return !isBlocked;
  },
  close,
});

function throttlerOnServer({ port, limit }) {
  const client = connect(port);
  return throttled(new ThrottlerStorageRedisService(client), limit, () => client.disconnect());
}

function throttlerInMemory({ limit }) {
  const storage = new ThrottlerStorageService();
  return throttled(storage, limit, () => storage.onApplicationShutdown());
}

export default {
  packages: ['rate-limiter-flexible', '@nestjs/throttler', '@nest-lab/throttler-storage-redis'],
  limit: {
    'raw: INCR in a script': raw,
    'nestjs-keep': ours,
    'rate-limiter-flexible': flexibleOnServer,
    '@nestjs/throttler': throttlerOnServer,
  },
  memoryLimit: {
    'nestjs-keep': ours,
    'rate-limiter-flexible': ({ limit }) =>
      flexible(new RateLimiterMemory({ points: limit, duration: WINDOW_S }), () => undefined),
    '@nestjs/throttler': throttlerInMemory,
  },
};
