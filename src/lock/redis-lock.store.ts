import { randomUUID } from 'node:crypto';
import { StoreUnavailableError } from '../common/errors.ts';
import type { MessageBus } from '../message-bus/message-bus.interface.ts';
import type { RedisDoor } from '../redis/availability.types.ts';
import { defineScript, type RawReply } from '../redis/redis.script.ts';
import {
  CLAIM_MS,
  type HandOffListener,
  type HandOver,
  type HeldKey,
  type HeldKeysPage,
  type LeaseClaim,
  type LockOutcome,
  type LockStore,
  SLACK_MS,
  type Turn,
} from './lock-store.interface.ts';
import { scanStep } from '../redis/redis.scan.ts';
import { ACQUIRE, EXTEND, FORCE_RELEASE, HAND_OVER, INSPECT, RELEASE } from './lock.lua.ts';

/** How long the last fence is remembered after its lease: a clock set back by less cannot repeat a fence. */
const FENCE_MEMORY_MS = 60_000;

/** How long replicas may take to confirm; shorter than the deadline of a command. */
const REPLICATION_MS = 100;

const isOne = (reply: RawReply): boolean => reply === 1;

const outcomeOf = ([isGranted, value]: readonly [number, number]): LockOutcome =>
  isGranted === 1 ? { kind: 'acquired', fence: value } : { kind: 'held', remainingMs: value };

const acquireScript = defineScript({
  name: 'lock.acquire',
  arity: 10,
  body: ACQUIRE,
  reply: (reply) => outcomeOf(reply as [number, number]),
});

const handOverScript = defineScript({
  name: 'lock.handOver',
  arity: 11,
  body: HAND_OVER,
  reply: (reply): HandOver => {
    const [wasHeld, ...next] = reply as [number, number, number];
    return { wasHeld: wasHeld === 1, next: outcomeOf(next) };
  },
});

const inspectScript = defineScript({
  name: 'lock.inspect',
  arity: 0,
  body: INSPECT,
  reply: (reply) => {
    if (reply === null) return undefined;
    const [token, fence, remainingMs, waiters] = reply as [Buffer, number, number, number];
    return { token: token.toString(), fence, remainingMs, waiters };
  },
});

const extendScript = defineScript({ name: 'lock.extend', arity: 3, body: EXTEND, reply: isOne });
const releaseScript = defineScript({ name: 'lock.release', arity: 3, body: RELEASE, reply: isOne });
const forceReleaseScript = defineScript({ name: 'lock.forceRelease', arity: 2, body: FORCE_RELEASE, reply: isOne });

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
    const { keepMs, askedMsAgo, callers } = turn ?? NO_TURN;
    const channel = turn === undefined ? '' : this.channel;
    // prettier-ignore
    return this.door.run(acquireScript, key, token, ttlMs, limit, atLeast, keepMs, askedMsAgo, callers, channel, CLAIM_MS, FENCE_MEMORY_MS);
  }

  extend(key: string, token: string, ttlMs: number): Promise<boolean> {
    return this.door.run(extendScript, key, token, ttlMs, FENCE_MEMORY_MS);
  }

  release(key: string, token: string): Promise<boolean> {
    return this.door.run(releaseScript, key, token, CLAIM_MS, FENCE_MEMORY_MS);
  }

  handOver(key: string, token: string, claim: LeaseClaim, turn: Turn): Promise<HandOver> {
    return this.door.run(
      handOverScript,
      key,
      ...[token, claim.token, claim.ttlMs, claim.limit],
      ...[turn.keepMs, turn.askedMsAgo, turn.callers, this.channel],
      ...[SLACK_MS, CLAIM_MS, FENCE_MEMORY_MS],
    );
  }

  forceRelease(key: string): Promise<boolean> {
    return this.door.run(forceReleaseScript, key, CLAIM_MS, FENCE_MEMORY_MS);
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

  async list(glob: string, cursor: string | undefined, limit: number): Promise<HeldKeysPage> {
    const items: HeldKey[] = [];
    for (let from = cursor; ;) {
      const step = await scanStep(this.door, glob, from);
      items.push(...(await this.#inspect(step.keys)));
      const last = items[limit - 1];
      if (items.length > limit && last !== undefined) {
        return { items: items.slice(0, limit), cursor: step.cursorAfter(last.key) };
      }
      if (items.length === limit || step.next === null) return { items, cursor: step.next };
      from = step.next;
    }
  }

  async listen(listener: HandOffListener): Promise<void> {
    this.bus.onReconnect(() => listener());
    await this.bus.subscribe(this.channel, (token) => listener(token.toString()));
  }

  /** What is still held of these keys: a key outlives its lease for the sake of the fence. */
  async #inspect(keys: readonly string[]): Promise<HeldKey[]> {
    const found = await Promise.all(
      keys.map(async (key) => ({ key, record: await this.door.run(inspectScript, key) })),
    );
    return found.flatMap(({ key, record }) => (record === undefined ? [] : [{ key, ...record }]));
  }
}

const NO_TURN: Turn = { keepMs: 0, askedMsAgo: 0, callers: 0 };
