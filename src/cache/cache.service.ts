import { Injectable } from '@nestjs/common';
import type { CollectionsService } from '../collections/collections.service.ts';
import type { CollectionValue } from '../collections/collections.values.ts';
import { begin } from '../common/begin.ts';
import { toMs, type Duration } from '../common/duration.ts';
import { isStoreFailure, WrongTypeError } from '../common/errors.ts';
import { escapeGlob } from '../common/glob.ts';
import { validKey, type KeySpace } from '../common/keys.ts';
import { stablePercent } from '../common/stable-hash.ts';
import type { LockService } from '../lock/lock.service.ts';
import type { MessageCallback, PubSub, SubscribeOptions } from '../message-bus/pub-sub.ts';
import type { RateLimitService } from '../rate-limit/rate-limit.service.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { RedisClient, RedisConnection } from '../redis/redis.connection.ts';
import {
  BatchLoader,
  chunksOf,
  readConcurrency,
  warmUp,
  type Loaded,
  type WarmEntry,
  type WarmOptions,
  type WarmReport,
} from './cache-batch.ts';
import type { CacheEngine } from './cache-engine.ts';
import type { ReadOrder } from './cache-read.ts';
import type { Seen } from './cache-reader.ts';
import type { CacheStack } from './cache-stack.ts';
import type { Factory } from './cache-factory.ts';
import { CacheCounts, type CacheMetricsSnapshot } from './cache-metrics.ts';
import type { CacheStats, CacheStatsReader, LocalStats } from './cache-stats.ts';
import { epochStamp, tagStamp } from './cache-tags.ts';
import type { ResolvedCacheOptions } from './cache.options.ts';
import { checkedTags, isAccepted, type GetOrSetOptions, type SetOptions } from './get-or-set.options.ts';
import type { ReadOptionsResolver, ResolvedReadOptions } from './read-options.resolver.ts';

/** Everything the service hands its calls on to. */
export interface CacheParts {
  readonly engine: CacheEngine;
  readonly options: ResolvedCacheOptions;
  readonly read: ReadOptionsResolver;
  readonly keys: KeySpace;
  readonly separator: string;
  readonly stats: CacheStatsReader;
  readonly collections: CollectionsService;
  readonly pubSub: PubSub;
  readonly locks: LockService;
  readonly limits: RateLimitService;
  /** Undefined in memory mode. */
  readonly connection: RedisConnection | undefined;
}

/** Where a service's keys lie: `prefix` goes before each of them, `epochs` are those of all scopes around them. */
export interface Scope {
  /** What its reads are counted under. */
  readonly name: string;
  readonly prefix: string;
  readonly epochs: readonly string[];
}

type Ttl<T> = number | Duration | GetOrSetOptions<T>;
type SetTtl = number | Duration | SetOptions;

/** What nobody sees: `has` is no read. */
const UNCOUNTED = new CacheCounts();

export const ROOT: Scope = { name: 'default', prefix: '', epochs: [epochStamp('')] };

/** @throws InvalidKeyError for a name that cannot be part of a key */
export function scopeWithin({ prefix, epochs }: Scope, name: string, separator: string): Scope {
  const path = prefix + validKey(name, 'namespace');
  return { name: path, prefix: path + separator, epochs: [...epochs, epochStamp(path)] };
}

/**
 * The cache: values by key, on the configured server or in memory, with what teams use beside it (collections,
 * messages, and short forms of locks and limits).
 *
 * Keys are checked before any I/O (`InvalidKeyError`: blank, or not a string). TTLs are seconds or a `Duration`
 * (`InvalidTtlError`); 0 stores nothing. No call waits for the server longer than the operation deadline.
 *
 * @publicApi
 */
@Injectable()
export class CacheService {
  readonly #parts: CacheParts;
  readonly #scope: Scope;
  readonly #counts: CacheCounts;
  // Looked at by every hit in memory, so at hand.
  readonly #stack: CacheStack;
  readonly #prefix: string;
  readonly #isEverythingCached: boolean;

  constructor(parts: CacheParts, scope: Scope = ROOT) {
    this.#parts = parts;
    this.#scope = scope;
    this.#counts = parts.engine.metrics.caches.of(scope.name);
    this.#stack = parts.engine.stack;
    this.#prefix = scope.prefix;
    this.#isEverythingCached = parts.options.enabled && parts.options.rolloutPercent === 100;
  }

  /**
   * The value, or undefined when there is none (a cached `null` is `null`). What another program wrote is read as JSON.
   * Answers undefined while the server is away.
   * @throws WrongTypeError when the key holds a set, hash or list
   */
  get<T>(key: string): Promise<T | undefined> {
    return this.#read(key);
  }

  #read<T>(key: string, lost?: Set<Shard | undefined>): Promise<T | undefined> {
    const held = this.#peek(key, this.#parts.read.forRead(undefined));
    return held === undefined ? this.#get(key, lost) : Promise.resolve(held as T);
  }

  /** @param lost the shards that did not answer: they are not asked, and those that do not now are added */
  async #get<T>(key: string, lost?: Set<Shard | undefined>): Promise<T | undefined> {
    const counts = this.#counts;
    const options = this.#parts.read.forRead(undefined);
    const fullKey = this.#full(key);
    const { stack, store } = this.#parts.engine;
    const startedAt = performance.now();
    const isLost = lost?.has(store.shardOf(fullKey)) === true;
    let seen: Seen<T> | undefined;
    try {
      if (!isLost) seen = await stack.find<T>(fullKey, this.#epochsOf(fullKey), options.tier);
    } catch (error) {
      this.#assertAway(error);
    }
    if (seen === undefined) lost?.add(store.shardOf(fullKey));
    counts.reads.record(performance.now() - startedAt);
    if (seen?.kind === 'fresh') {
      counts.storeHits++;
      this.#stack.tell(key, 'hit', 'store');
      return seen.copy.value;
    }
    counts.misses++;
    this.#stack.tell(key, 'miss', 'store');
    if (seen?.kind === 'missing' && seen.distrusted === undefined) {
      await this.#unlessAway(this.#assertNoCollection(fullKey));
    }
    return undefined;
  }

  /**
   * Stores a value; whatever loads the key at this moment will not overwrite it.
   * @throws SerializationError for a function, symbol or cycle, before anything is written
   */
  set(key: string, value: unknown, ttl?: SetTtl): Promise<void> {
    return begin(() => {
      const options = this.#parts.read.forWrite(ttl);
      return this.#parts.engine.writer.set([{ key: this.#full(key), value }], this.#stampNames(options), options);
    });
  }

  /**
   * The value, computed by `factory` when there is none: once per key in all processes, whoever asks meanwhile waits
   * for that one. A value that cannot be stored is returned all the same. While the server is away the factory
   * answers, once per key in this process.
   * @throws what the factory throws; FactoryTimeoutError; ReentrantLoadError when the factory waits for its own key
   */
  getOrSet<T>(key: string, ttl: Ttl<T>, factory: Factory<T>): Promise<T> {
    const options = this.#parts.read.known(ttl);
    if (options?.isServedAtOnce !== true || !this.#isEverythingCached) return this.#lookAndLoad(key, ttl, factory);
    const held = this.#peek(key, options);
    // Not an async method itself: a hit in memory costs one promise.
    return held === undefined ? this.#load(key, ttl, factory, options) : Promise.resolve(held as T);
  }

  /** For options that are new, or ask more of a hit in memory than to be fresh, and while caching is rolled out. */
  async #lookAndLoad<T>(key: string, ttl: Ttl<T>, factory: Factory<T>): Promise<T> {
    const options = this.#parts.read.forRead(ttl);
    const isCached = this.#isEverythingCached || this.#isCached(this.#full(key));
    const held = isCached ? this.#peek(key, options) : undefined;
    if (
      held !== undefined &&
      (options.isServedAtOnce || (await this.#isServed(held, this.#order(key, options, factory))))
    ) {
      return held as T;
    }
    return this.#load(key, ttl, factory);
  }

  /** Not an async method either: each promise costs a hit on the server a fiftieth. */
  #load<T>(key: string, ttl: Ttl<T>, factory: Factory<T>, known?: ResolvedReadOptions): Promise<T> {
    return begin(() => {
      const { read } = this.#parts;
      const options = known === undefined ? read.forRead(ttl) : read.withTags(known, ttl);
      const order = this.#order(key, options, factory);
      return this.#isCached(order.key) ? this.#stack.getOrSet(order) : this.#stack.bypass(order);
    });
  }

  async del(...keys: string[]): Promise<void> {
    await this.#parts.engine.invalidator.del(keys.map((key) => this.#full(key)));
  }

  /** Whether there is a value or collection; while the server is away, whether this process holds a value. */
  async has(key: string): Promise<boolean> {
    const fullKey = this.#full(key);
    if (this.#peek(key, this.#parts.read.forRead(undefined), UNCOUNTED) !== undefined) return true;
    return ((await this.#unlessAway(this.#ttl(fullKey))) ?? -2) !== -2;
  }

  /**
   * Removes every key that a glob matches (`*` `?` `[a-z]` `[^x]`, `\` escapes) and says how many there were; never
   * outside this application's prefix. Text from users goes through `pattern` or `defineKey(…).pattern()`.
   * @throws InvalidKeyError for an empty pattern
   */
  async delPattern(pattern: string): Promise<number> {
    validKey(pattern, 'pattern');
    return this.#parts.engine.invalidator.delPattern(
      this.#parts.keys.pattern(escapeGlob(this.#scope.prefix) + pattern),
    );
  }

  /** Removes every value with one of these tags: one write per tag, however many values there are. */
  async delByTag(...tags: string[]): Promise<void> {
    await this.#bump(tags, 'delete');
  }

  /** Makes every value with one of these tags stale: reads with `grace` may still serve it. */
  async expireByTag(...tags: string[]): Promise<void> {
    await this.#bump(tags, 'expire');
  }

  /** Removes everything under this application's prefix and version, or in this namespace; collections too. */
  async reset(): Promise<void> {
    const { keys, engine } = this.#parts;
    // Together, so that a server that does not answer is waited for once.
    await Promise.all([
      engine.invalidator.bump([this.#scope.epochs.at(-1) ?? epochStamp('')], 'delete'),
      engine.invalidator.delPattern(keys.pattern(escapeGlob(this.#scope.prefix) + '*')),
    ]);
  }

  /** Whole seconds, -1 without expiry, -2 without key. @throws StoreUnavailableError, OutcomeUnknownError */
  async ttl(key: string): Promise<number> {
    return this.#ttl(this.#full(key));
  }

  async #ttl(fullKey: string): Promise<number> {
    const { store, stack, local } = this.#parts.engine;
    if (local.own(fullKey) !== undefined) return inSeconds(local.ageing(fullKey)?.remainingMs ?? 0);
    const seen = await stack.find(fullKey, this.#epochsOf(fullKey), this.#parts.options.tier);
    if (seen.kind === 'stale' || (seen.kind === 'missing' && seen.distrusted !== undefined)) return -2;
    if (seen.kind === 'fresh' && seen.entry !== undefined) return inSeconds(seen.entry.freshUntilMs - store.now());
    const { pttlMs } = await store.describe(fullKey);
    return pttlMs < 0 ? pttlMs : inSeconds(pttlMs);
  }

  /** Gives a key a new time to live; false when there is none. 0 removes it. @throws StoreUnavailableError */
  async expire(key: string, ttlSeconds: number | Duration): Promise<boolean> {
    const fullKey = this.#full(key);
    const ttlMs = toMs(ttlSeconds, 's', 'ttlSeconds');
    if ((await this.#ttl(fullKey)) === -2) return false;
    const { invalidator, local } = this.#parts.engine;
    if (ttlMs > 0) return invalidator.expire(fullKey, ttlMs);
    const isOwn = local.own(fullKey) !== undefined;
    return (await invalidator.del([fullKey])) === 1 || isOwn;
  }

  async getMany<T>(keys: string[]): Promise<(T | undefined)[]> {
    keys.forEach((key) => this.#full(key));
    const values: (T | undefined)[] = [];
    const lost = new Set<Shard | undefined>();
    for (const chunk of chunksOf(keys, this.#parts.options.batchSize)) {
      values.push(...(await Promise.all(chunk.map((key) => this.#read<T>(key, lost)))));
    }
    return values;
  }

  async setMany(entries: Iterable<readonly [key: string, value: unknown]>, ttl?: SetTtl): Promise<void> {
    const options = this.#parts.read.forWrite(ttl);
    const items = [...entries].map(([key, value]) => ({ key: this.#full(key), value }));
    await this.#parts.engine.writer.set(items, this.#stampNames(options), options);
  }

  /**
   * `getOrSet` for many keys: the factory gets those that are missing, usually all in one call, and answers with a
   * Map or record. A key it does not mention is not in the result, and nothing is stored for it.
   */
  async getOrSetMany<T>(
    keys: string[],
    ttl: Ttl<T>,
    factory: (missing: string[]) => Promise<Loaded<T>>,
  ): Promise<Map<string, T>> {
    const wanted = [...new Set(keys)];
    wanted.forEach((key) => this.#full(key));
    const batch = new BatchLoader(factory, wanted);
    const found = await Promise.all(
      wanted.map(async (key) => {
        const value = await this.getOrSet<T | undefined>(key, ttl as Ttl<T | undefined>, () => batch.load(key));
        batch.found(key);
        return [key, value] as const;
      }),
    );
    return new Map(found.flatMap(([key, value]) => (value === undefined ? [] : [[key, value as T] as const])));
  }

  /**
   * Loads what is not there yet, before it is asked for, `concurrency` keys at a time: 1 to 1000, 8 unless said. A
   * factory that fails is in the report and stops nothing.
   * @throws InvalidOptionsError
   */
  async warm(entries: Iterable<WarmEntry>, options: WarmOptions = {}): Promise<WarmReport> {
    return warmUp(entries, readConcurrency(options), async ({ key, ttl = {}, factory }) => {
      if (!this.#parts.options.warmup) return false;
      const run = { began: false };
      await this.getOrSet<unknown>(key, ttl, () => ((run.began = true), factory()));
      return run.began;
    });
  }

  /** The same cache with its keys under `name`; its `reset()` clears only them. Tags are shared with the whole cache. */
  namespace(name: string): CacheService {
    return new CacheService(this.#parts, scopeWithin(this.#scope, name, this.#parts.separator));
  }

  async sadd(key: string, ...members: CollectionValue[]): Promise<number> {
    return this.#parts.collections.sadd(this.#name(key), ...members);
  }

  async srem(key: string, ...members: CollectionValue[]): Promise<number> {
    return this.#parts.collections.srem(this.#name(key), ...members);
  }

  async sismember(key: string, member: CollectionValue): Promise<boolean> {
    return this.#parts.collections.sismember(this.#name(key), member);
  }

  async smembers(key: string): Promise<string[]> {
    return this.#parts.collections.smembers(this.#name(key));
  }

  async scard(key: string): Promise<number> {
    return this.#parts.collections.scard(this.#name(key));
  }

  async hset(key: string, field: CollectionValue, value: CollectionValue): Promise<number> {
    return this.#parts.collections.hset(this.#name(key), field, value);
  }

  async hget(key: string, field: CollectionValue): Promise<string | undefined> {
    return this.#parts.collections.hget(this.#name(key), field);
  }

  async hgetall(key: string): Promise<Record<string, string>> {
    return this.#parts.collections.hgetall(this.#name(key));
  }

  async hdel(key: string, ...fields: CollectionValue[]): Promise<number> {
    return this.#parts.collections.hdel(this.#name(key), ...fields);
  }

  async lpush(key: string, ...values: CollectionValue[]): Promise<number> {
    return this.#parts.collections.lpush(this.#name(key), ...values);
  }

  async rpush(key: string, ...values: CollectionValue[]): Promise<number> {
    return this.#parts.collections.rpush(this.#name(key), ...values);
  }

  async lpop(key: string): Promise<string | undefined> {
    return this.#parts.collections.lpop(this.#name(key));
  }

  async rpop(key: string): Promise<string | undefined> {
    return this.#parts.collections.rpop(this.#name(key));
  }

  async lrange(key: string, start: number, stop: number): Promise<string[]> {
    return this.#parts.collections.lrange(this.#name(key), start, stop);
  }

  async incr(key: string): Promise<number> {
    return this.#parts.collections.incr(this.#name(key));
  }

  async incrby(key: string, amount: number): Promise<number> {
    return this.#parts.collections.incrby(this.#name(key), amount);
  }

  async decr(key: string): Promise<number> {
    return this.#parts.collections.decr(this.#name(key));
  }

  async publish(channel: string, message: unknown): Promise<void> {
    return this.#parts.pubSub.publish(this.#name(channel), message);
  }

  /**
   * Resolves when subscribed; the result unsubscribes. Delivery is at most once: `onResync` is called when messages may
   * have been missed.
   */
  async subscribe(
    channel: string,
    // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the contract: a message is whatever was published
    callback: (message: any) => void | Promise<void>,
    options?: SubscribeOptions,
  ): Promise<() => Promise<void>> {
    return this.#parts.pubSub.subscribe(this.#name(channel), callback as MessageCallback, options);
  }

  /** A lease's token, or null when somebody holds it. It is not renewed: see `LockService` for locks that are. */
  async acquireLock(lockKey: string, ttlMs: number): Promise<string | null> {
    return this.#parts.locks.acquireLock(this.#name(lockKey), ttlMs);
  }

  /** False when the token is not the holder's. */
  async releaseLock(lockKey: string, token: string): Promise<boolean> {
    return this.#parts.locks.releaseLock(this.#name(lockKey), token);
  }

  /** Whether one more call is within the limit; spends it if so. */
  async checkRateLimit(key: string, limit: number, ttlSeconds: number): Promise<boolean> {
    return this.#parts.limits.checkRateLimit(this.#name(key), limit, ttlSeconds);
  }

  /** The ioredis client, for what this service does not cover; null in memory mode. */
  getClient(): RedisClient | null {
    return this.#parts.connection?.client ?? null;
  }

  isRedisAvailable(): boolean {
    return this.#parts.connection?.isAvailable ?? false;
  }

  getMetrics(): CacheMetricsSnapshot {
    return this.#parts.engine.metrics.snapshot();
  }

  resetMetrics(): void {
    this.#parts.engine.metrics.reset();
    this.#parts.engine.windows.reset();
  }

  async getStats(): Promise<CacheStats> {
    const { l1, ...state } = this.getLocalStats();
    return { ...state, tiers: { l1, l2: await this.#parts.stats.server() } };
  }

  /** The part of `getStats` that needs no server. */
  getLocalStats(): LocalStats {
    return this.#parts.stats.local();
  }

  /** The key with the namespace before it. */
  #name(key: string): string {
    return this.#scope.prefix + validKey(key);
  }

  #full(key: string): string {
    return this.#parts.keys.full(this.#name(key));
  }

  #epochsOf(fullKey: string): readonly string[] {
    return this.#parts.engine.tags.placed(fullKey, this.#scope.epochs);
  }

  #stampNames({ tags }: ResolvedReadOptions): readonly string[] {
    return tags.length === 0 ? this.#scope.epochs : [...this.#scope.epochs, ...tags.map(tagStamp)];
  }

  #order<T>(key: string, options: ResolvedReadOptions, factory: Factory<T>): ReadOrder<T> {
    const counts = options.counts ?? this.#counts;
    const fullKey = this.#full(key);
    const stampNames = this.#parts.engine.tags.placed(fullKey, this.#stampNames(options));
    return { key: fullKey, name: key, stampNames, options, factory, counts };
  }

  /** What this process holds; a key that is not a text is never held. */
  #peek(key: string, options: ResolvedReadOptions, counts = options.counts ?? this.#counts): unknown {
    if (typeof key !== 'string') return undefined;
    const prefix = this.#prefix;
    return this.#stack.peek(prefix === '' ? key : prefix + key, options, counts);
  }

  /** The rarer wishes of a hit in memory. */
  async #isServed<T>(held: unknown, order: ReadOrder<T>): Promise<boolean> {
    const { schema, earlyRefresh } = order.options;
    if (schema !== undefined && !(await isAccepted(schema, held))) return false;
    if (earlyRefresh !== undefined) this.#parts.engine.stack.refreshEarly(order);
    return true;
  }

  /** The feature flag and the gradual roll-out: which keys `getOrSet` keeps. */
  #isCached(fullKey: string): boolean {
    const { enabled, rolloutPercent } = this.#parts.options;
    return enabled && (rolloutPercent === 100 || stablePercent(fullKey) < rolloutPercent);
  }

  async #bump(tags: readonly string[], mode: 'delete' | 'expire'): Promise<void> {
    // However many there are: only an entry carries a bounded number of them.
    const names = [...new Set(tags.flatMap((tag) => checkedTags([tag])))].map(tagStamp);
    if (names.length > 0) await this.#parts.engine.invalidator.bump(names, mode);
  }

  /** Undefined when the server cannot be asked: a read does not fail because the cache does. */
  async #unlessAway<R>(answer: Promise<R>): Promise<R | undefined> {
    try {
      return await answer;
    } catch (error) {
      this.#assertAway(error);
      return undefined;
    }
  }

  #assertAway(error: unknown): void {
    if (!isStoreFailure(error)) throw error;
    this.#parts.engine.metrics.errors++;
  }

  /** Reads of one turn travel as one MGET, which says nothing about keys of other types. */
  async #assertNoCollection(fullKey: string): Promise<void> {
    const { type } = await this.#parts.engine.store.describe(fullKey);
    if (type !== 'none' && type !== 'string') throw new WrongTypeError(`The key holds a ${type}, not a value`);
  }
}

/** Rounded, as Redis does: the clock of the server is known to a few milliseconds only. */
const inSeconds = (ms: number): number => Math.round(ms / 1_000);
