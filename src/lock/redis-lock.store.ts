import { randomUUID } from 'node:crypto';
import { StoreUnavailableError } from '../common/errors.ts';
import type { MessageBus } from '../message-bus/message-bus.interface.ts';
import type { RedisDoor } from '../redis/availability.types.ts';
import { defineScript, type RawReply } from '../redis/redis.script.ts';
import {
  type HandOffListener,
  type HandOver,
  type HeldKey,
  type HeldKeysPage,
  type LeaseClaim,
  type LockOutcome,
  type LockStore,
  type Turn,
} from './lock-store.interface.ts';
import { PAGE_SIZE, scanStep } from '../redis/redis.scan.ts';
import { ACQUIRE, EXTEND, FORCE_RELEASE, HAND_OVER, INSPECT, RELEASE } from './lock.lua.ts';

/** How long replicas may take to confirm; shorter than the deadline of a command. */
const REPLICATION_MS = 100;

const isOne = (reply: RawReply): boolean => reply === 1;

const outcomeOf = (kind: number, value: number): LockOutcome => {
  if (kind === 0) return { kind: 'held', remainingMs: value };
  return { kind: kind === 1 ? 'acquired' : 'next', fence: value };
};

const acquireScript = defineScript({
  name: 'lock.acquire',
  args: ['token', 'ttl', 'limit', 'atLeast', 'turn'],
  body: ACQUIRE,
  reply: (reply) => {
    if (typeof reply === 'number') return outcomeOf(1, reply);
    const [kind, value] = reply as [number, number];
    return outcomeOf(kind, value);
  },
});

const handOverScript = defineScript({
  name: 'lock.handOver',
  args: ['token', 'following', 'ttl', 'limit', 'turn'],
  body: HAND_OVER,
  reply: (reply): HandOver => {
    const [wasHeld, kind, value] = reply as [number, number, number];
    return { wasHeld: wasHeld === 1, next: outcomeOf(kind, value) };
  },
});

const inspectScript = defineScript({
  name: 'lock.inspect',
  body: INSPECT,
  reply: (reply) => {
    if (reply === null) return undefined;
    const [token, fence, remainingMs, waiters] = reply as [Buffer, number, number, number];
    return { token: token.toString(), fence, remainingMs, waiters };
  },
});

const extendScript = defineScript({ name: 'lock.extend', args: ['token', 'ttl'], body: EXTEND, reply: isOne });
const releaseScript = defineScript({ name: 'lock.release', args: ['token'], body: RELEASE, reply: isOne });
const forceReleaseScript = defineScript({ name: 'lock.forceRelease', body: FORCE_RELEASE, reply: isOne });

/** Leases on the server, shared by every process; each act is one script on one key. */
export class RedisLockStore implements LockStore {
  /** Where this process hears of hand-offs; no other one has the same. */
  private readonly channel: string;

  /** @param channels what the channels of all processes begin with */
  constructor(
    private readonly door: RedisDoor,
    private readonly bus: MessageBus,
    channels: string,
  ) {
    this.channel = `${channels}:${randomUUID()}`;
  }

  acquire(key: string, { token, ttlMs, limit, atLeast = 0 }: LeaseClaim, turn?: Turn): Promise<LockOutcome> {
    return this.door.run(acquireScript, key, token, ttlMs, limit, atLeast, turn === undefined ? '' : this.#text(turn));
  }

  extend(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.door.run(extendScript, key, token, ttlMs);
  }

  release(key: string, token: string): Promise<boolean> {
    return this.door.run(releaseScript, key, token);
  }

  handOver(key: string, token: string, { token: next, ttlMs, limit }: LeaseClaim, turn: Turn): Promise<HandOver> {
    return this.door.run(handOverScript, key, token, next, ttlMs, limit, this.#text(turn));
  }

  forceRelease(key: string): Promise<boolean> {
    return this.door.run(forceReleaseScript, key);
  }

  async isHeld(key: string): Promise<boolean> {
    return (await this.door.run(inspectScript, key)) !== undefined;
  }

  /** WAIT speaks of what its own connection has written. All else on that connection waits along, so it is not for long. */
  async replicated(key: string, wanted: number): Promise<number> {
    const shard = this.door.shardOf(key);
    if (shard === undefined) throw new StoreUnavailableError('lock.replicas', 'nobody answers for this key');
    return this.door.executeOn(shard, 'lock.replicas', (node) => node.wait(wanted, REPLICATION_MS));
  }

  /** A step with more locks than there is room for is left to the next page; one that is too large for any is made smaller. */
  async list(glob: string, cursor: string | undefined, limit: number): Promise<HeldKeysPage> {
    const items: HeldKey[] = [];
    let count = PAGE_SIZE;
    for (let from = cursor; ;) {
      const step = await scanStep(this.door, glob, from, count);
      const held = await this.#inspect(step.keys);
      const isTooMuch = items.length + held.length > limit;
      if (isTooMuch && items.length > 0) return { items, cursor: from ?? null };
      if (isTooMuch && count > 1) {
        count = Math.ceil(count / 4);
        continue;
      }
      items.push(...held.slice(0, limit));
      if (isTooMuch) return { items, cursor: step.cursorWithout(items.map(({ key }) => key)) };
      if (items.length === limit || step.next === null) return { items, cursor: step.next };
      from = step.next;
    }
  }

  async listen(listener: HandOffListener): Promise<void> {
    this.bus.onReconnect(() => listener());
    await this.bus.subscribe(this.channel, (token) => listener(token.toString()));
  }

  /** In one argument: the script looks into it when somebody is in the way. */
  #text({ keepMs, askedMsAgo, callers, after = '' }: Turn): string {
    return `${keepMs} ${askedMsAgo} ${callers} ${after} ${this.channel}`;
  }

  /** What is still held of these keys: a key outlives its lease for the sake of the fence. */
  async #inspect(keys: readonly string[]): Promise<HeldKey[]> {
    const found = await Promise.all(
      keys.map(async (key) => ({ key, record: await this.door.run(inspectScript, key) })),
    );
    return found.flatMap(({ key, record }) => (record === undefined ? [] : [{ key, ...record }]));
  }
}
