import type { RedisDoor, Shard } from '../redis/availability.types.ts';
import type { KeyedScript, ScriptArgument } from '../redis/redis.script.ts';
import { ABANDON, ACQUIRE, BUMP, CAPTURE, DESCRIBE, EXPIRE, FILL, REMOVE, RENEW, SPOIL, WRITE } from './cache.lua.ts';
import { ABSENT, decodeEntry, encodeBody, encodeHead, type EntryDraft, type Found } from './cache-entry.ts';
import type {
  Acquisition,
  CacheStore,
  EntryDrafts,
  KeyDescription,
  LeaseRequest,
  Notice,
} from './cache-store.interface.ts';

/** Channels on which the store tells processes of what it did. */
export interface CacheChannels {
  readonly wake: string;
  readonly notice: string;
}

/** How long an invalidation is remembered at least. Forgetting it makes entries absent, never valid again. */
const REMEMBER_MS = 24 * 3_600_000;

/** What is done to some keys with the same shared arguments. */
interface Share {
  readonly keys: readonly string[];
  readonly shared: readonly ScriptArgument[];
  readonly payloads?: readonly (string | Buffer)[];
}

interface Run {
  readonly codec: string;
  readonly keys: string[];
  readonly payloads: (string | Buffer)[];
}

/** Entries on a Redis or Valkey server; the layout is in cache-entry.ts, the scripts are in cache.lua.ts. */
export class RedisCacheStore implements CacheStore {
  constructor(
    private readonly connection: RedisDoor,
    private readonly channels: CacheChannels,
  ) {}

  now(): number {
    return this.connection.now();
  }

  read(key: string): Promise<Found> {
    return this.connection.get(key, foundIn);
  }

  get shards(): readonly Shard[] {
    return this.connection.shards;
  }

  get places(): readonly string[] {
    return this.connection.places;
  }

  shardOf(key: string): Shard | undefined {
    return this.connection.shardOf(key);
  }

  async versions(keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    return Promise.all(keys.map((key) => this.connection.get(key, versionIn)));
  }

  capture(keys: readonly string[], keepMs: number): Promise<readonly string[]> {
    return Promise.all(keys.map((key) => this.connection.run(CAPTURE, key, keepMs)));
  }

  acquire(key: string, { token, leaseMs, distrusted = '' }: LeaseRequest): Promise<Acquisition> {
    return this.connection.run(ACQUIRE, key, token, leaseMs, distrusted);
  }

  renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    return this.connection.run(RENEW, key, token, leaseMs);
  }

  fill(key: string, token: string, draft: EntryDraft): Promise<boolean> {
    return this.connection.run(FILL, key, this.channels.wake, token, draft.ttlMs, draft.keepMs, encodeBody(draft));
  }

  async abandon(key: string, token: string, corrupt = ''): Promise<void> {
    await this.connection.run(ABANDON, key, this.channels.wake, token, corrupt);
  }

  async write({ entries, ttlMs, keepMs, stamps }: EntryDrafts, notice: Notice): Promise<void> {
    const { wake, notice: channel } = this.channels;
    const shares = runsOf(entries).map(({ codec, keys, payloads }) => {
      const head = encodeHead({ codec, costMs: 0, stamps });
      return { keys, shared: [wake, channel, ttlMs, keepMs, head], payloads };
    });
    await this.inOrder(WRITE, notice, shares);
  }

  async del(keys: readonly string[], notice: Notice): Promise<number> {
    const removed = await this.inOrder(REMOVE, notice, [{ keys, shared: [this.channels.notice] }]);
    return removed.filter(Boolean).length;
  }

  async delPattern(pattern: string, notice: Notice, shard?: Shard): Promise<number> {
    let count = 0;
    let removal = Promise.resolve(0);
    for await (const keys of this.connection.scan(pattern, shard)) {
      count += await removal;
      // Awaited only after the next page was asked for: the removal travels behind its SCAN.
      removal = this.del(keys, '');
      removal.catch(() => undefined);
    }
    count += await removal;
    await this.publish(notice);
    return count;
  }

  async bump(keys: readonly string[], mode: 'delete' | 'expire', notice: Notice): Promise<void> {
    await this.inOrder(BUMP, notice, [{ keys, shared: [mode, REMEMBER_MS, this.channels.notice] }]);
  }

  describe(key: string): Promise<KeyDescription> {
    return this.connection.run(DESCRIBE, key);
  }

  async expire(key: string, ttlMs: number, notice: Notice): Promise<boolean> {
    const [isThere = false] = await this.inOrder(EXPIRE, notice, [
      { keys: [key], shared: [ttlMs, this.channels.notice] },
    ]);
    return isThere;
  }

  async spoil(keys: readonly string[], notice: Notice): Promise<number> {
    const spoilt = await this.inOrder(SPOIL, notice, [{ keys, shared: [this.channels.notice] }]);
    return spoilt.filter(Boolean).length;
  }

  /**
   * Changes keys and tells the others after the last one. On one node scripts run in the order they are sent, so the
   * last key carries the notice in the same trip; over several nodes it has to wait for all.
   */
  private async inOrder<R>(script: KeyedScript<R>, notice: Notice, shares: readonly Share[]): Promise<readonly R[]> {
    const { isOneNode } = this.connection;
    const runs = shares.map((share, index) => {
      const isLast = index === shares.length - 1;
      return this.connection.runAll(script, share.keys, argumentsOf(share, isOneNode && isLast ? notice : ''));
    });
    const results = await Promise.all(runs);
    if (!isOneNode) await this.publish(notice);
    return results.flat();
  }

  private async publish(notice: Notice): Promise<void> {
    if (notice === '') return;
    await this.connection.execute('cache.notice', (client) => client.publish(this.channels.notice, notice));
  }
}

/** Arguments of a script: the shared ones, then the payload of each key and the notice, which goes with the last one. */
function argumentsOf({ keys, shared, payloads }: Share, notice: Notice): readonly ScriptArgument[] {
  const args = [...shared];
  for (let index = 0; index < keys.length; index++) {
    if (payloads !== undefined) args.push(payloads[index] ?? '');
    args.push(index === keys.length - 1 ? notice : '');
  }
  return args;
}

/** Entries that follow each other under the same codec: nearly always all of them. */
function runsOf(entries: EntryDrafts['entries']): readonly Run[] {
  const runs: Run[] = [];
  for (const { key, encoded } of entries) {
    let run = runs.at(-1);
    if (run?.codec !== encoded.codec) runs.push((run = { codec: encoded.codec, keys: [], payloads: [] }));
    run.keys.push(key);
    run.payloads.push(encoded.payload);
  }
  return runs;
}

const foundIn = (raw: Buffer | null): Found => (raw === null ? ABSENT : decodeEntry(raw));
const versionIn = (raw: Buffer | null): string | undefined => raw?.toString('latin1');
