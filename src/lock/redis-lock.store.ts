import type { RedisConnection } from '../redis/redis.connection.ts';
import { defineScript, type RawReply } from '../redis/redis.script.ts';
import type { LockOutcome, LockStore } from './lock-store.interface.ts';
import { ACQUIRE, EXTEND, FORCE_RELEASE, IS_HELD, RELEASE } from './lock.lua.ts';

/** How long the last fence is remembered after its lease: a clock set back by less cannot repeat a fence. */
const FENCE_MEMORY_MS = 60_000;

const isOne = (reply: RawReply): boolean => reply === 1;

function toOutcome(reply: RawReply): LockOutcome {
  const [acquired, value] = reply as [number, number];
  return acquired === 1 ? { kind: 'acquired', fence: value } : { kind: 'held', remainingMs: value };
}

const acquireScript = defineScript({ name: 'lock.acquire', arity: 3, body: ACQUIRE, reply: toOutcome });
const extendScript = defineScript({ name: 'lock.extend', arity: 3, body: EXTEND, reply: isOne });
const releaseScript = defineScript({ name: 'lock.release', arity: 2, body: RELEASE, reply: isOne });
const forceReleaseScript = defineScript({ name: 'lock.forceRelease', arity: 1, body: FORCE_RELEASE, reply: isOne });
const isHeldScript = defineScript({ name: 'lock.isHeld', arity: 0, body: IS_HELD, reply: isOne });

/** Leases on the server, shared by every process; each act is one script on one key. */
export class RedisLockStore implements LockStore {
  constructor(private readonly connection: RedisConnection) {}

  acquire(key: string, token: string, ttlMs: number): Promise<LockOutcome> {
    return this.connection.run(acquireScript, key, token, ttlMs, FENCE_MEMORY_MS);
  }

  extend(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.connection.run(extendScript, key, token, ttlMs, FENCE_MEMORY_MS);
  }

  release(key: string, token: string): Promise<boolean> {
    return this.connection.run(releaseScript, key, token, FENCE_MEMORY_MS);
  }

  forceRelease(key: string): Promise<boolean> {
    return this.connection.run(forceReleaseScript, key, FENCE_MEMORY_MS);
  }

  isHeld(key: string): Promise<boolean> {
    return this.connection.run(isHeldScript, key);
  }
}
