import type { CacheEngine } from '../cache/cache-engine.ts';
import type { FactoryContext } from '../cache/cache-factory.ts';
import { NO_VERSIONS, type Seen } from '../cache/cache-reader.ts';
import type { ReadOrder } from '../cache/cache-read.ts';
import type { CacheCounts } from '../cache/cache-metrics.ts';
import type { Coalescing } from '../cache/get-or-set.options.ts';
import type { ResolvedReadOptions } from '../cache/read-options.resolver.ts';
import { isStoreFailure } from '../common/errors.ts';
import type { KeySpace } from '../common/keys.ts';
import { soon } from './soon.ts';
import { type StoredResponse, unpacked, UnpackedResponses } from './stored-response.ts';

/** What was found under a name. */
export interface FoundResponse {
  readonly response: StoredResponse | undefined;
  /** Whether it may be served as it is, as far as tags and the store's own clock say. */
  readonly isFresh: boolean;
  /** For whoever makes it anew. */
  readonly seen: Seen<Buffer>;
  /** The server could not be asked, or not in time. */
  readonly isAway: boolean;
}

/** A response that may be stored, in bytes. */
export interface Rendered {
  readonly bytes: Buffer;
  readonly freshMs: number;
  /** How long it is kept after that. */
  readonly staleMs: number;
  readonly tags: readonly string[];
}

export interface LoadOrder {
  readonly name: string;
  readonly stampNames: readonly string[];
  readonly found: FoundResponse;
  readonly coalesce: Coalescing;
  readonly counts: CacheCounts;
  /** Makes the response; undefined when it may not be stored. Called at most once, when it is this caller's turn. */
  readonly render: () => Promise<Rendered | undefined>;
}

const OPTIONS: ResolvedReadOptions = {
  ttlMs: 0,
  graceMs: 0,
  revalidateMs: 0,
  softTimeoutMs: undefined,
  hardTimeoutMs: undefined,
  jitter: 0,
  tags: [],
  tagsOf: undefined,
  cacheNull: true,
  coalesce: 'cluster',
  isFrozen: true,
  earlyRefresh: undefined,
  tier: 'both',
  schema: undefined,
  isServedAtOnce: false,
  isPlain: true,
  counts: undefined,
};

/** Responses in the cache engine: found in memory or on the server, made once per key, invalidated by their stamps. */
export class ResponseStore {
  private readonly responses = new UnpackedResponses();

  constructor(
    private readonly engine: CacheEngine,
    private readonly keys: KeySpace,
    private readonly budgetMs: number,
  ) {}

  now(): number {
    return this.engine.store.now();
  }

  /** A fresh response that this process holds: no I/O, nothing parsed, nothing copied. */
  peek(name: string): StoredResponse | undefined {
    return this.responses.of(this.engine.local.tier.payload(name));
  }

  /** What is there, fresh or stale. Never rejects because of the server, and never waits for it longer than the budget. */
  async find(name: string, stampNames: readonly string[]): Promise<FoundResponse> {
    const key = this.keys.full(name);
    const seen = await soon(this.lookUp(key, stampNames), this.budgetMs);
    if (seen === undefined) return this.fromMemory(key);
    if (seen.kind === 'missing') return { response: undefined, isFresh: false, seen, isAway: false };
    const response = unpacked(seen.copy.value);
    if (response !== undefined) return { response, isFresh: seen.kind === 'fresh', seen, isAway: false };
    this.engine.metrics.corrupt++;
    const distrusted = seen.entry?.version ?? 'corrupt';
    return { response, isFresh: false, seen: { kind: 'missing', distrusted, isCorrupt: true }, isAway: false };
  }

  /** The response that somebody makes now, this caller or another one; undefined when it may not be stored. */
  async load(order: LoadOrder): Promise<StoredResponse | undefined> {
    const { reads } = this.engine.local;
    const key = this.keys.full(order.name);
    const running = order.coalesce === 'off' ? undefined : reads.get(key);
    const outcome = running === undefined ? this.start(key, order) : running.promise;
    return unpacked((await outcome).copy.value);
  }

  /** Whether a refresh of this response failed a moment ago. */
  isPaused(name: string): boolean {
    return this.engine.backoff.isPaused(this.keys.full(name));
  }

  async remove(name: string): Promise<void> {
    await this.engine.invalidator.del([this.keys.full(name)]);
  }

  async invalidate(stampNames: readonly string[]): Promise<void> {
    await this.engine.invalidator.bump(stampNames, 'delete');
  }

  private async lookUp(key: string, stampNames: readonly string[]): Promise<Seen<Buffer> | undefined> {
    try {
      return await this.engine.stack.find<Buffer>(key, stampNames);
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      this.engine.metrics.errors++;
      return undefined;
    }
  }

  private fromMemory(key: string): FoundResponse {
    const entry = this.engine.local.stale(key);
    const response = unpacked(entry?.payload);
    if (entry === undefined || response === undefined) {
      return { response: undefined, isFresh: false, seen: { kind: 'missing' }, isAway: true };
    }
    const value = entry.payload as Buffer;
    const seen: Seen<Buffer> = { kind: 'stale', entry, copy: { value, again: () => value } };
    return { response, isFresh: false, seen, isAway: true };
  }

  private start(key: string, order: LoadOrder): Promise<{ readonly copy: { readonly value: Buffer | undefined } }> {
    const { reads } = this.engine.local;
    const { refresh } = this.engine;
    const { seen, isAway } = order.found;
    const look = { seen, versions: NO_VERSIONS, isAway };
    const read = this.readOrder(key, order);
    if (order.coalesce === 'off') return refresh.start(read, look, undefined);
    return reads.start(key, (flight) => refresh.start(read, look, flight)).promise as ReturnType<typeof this.start>;
  }

  private readOrder(
    key: string,
    { name, stampNames, coalesce, counts, render, found }: LoadOrder,
  ): ReadOrder<Buffer | undefined> {
    // How long an entry is kept is known when it was made: the options are read again then.
    const options: { -readonly [K in keyof ResolvedReadOptions]: ResolvedReadOptions[K] } = { ...OPTIONS, coalesce };
    // Whoever replaces a stale response would rather have that one than none: a failure is followed by a pause.
    if (found.seen.kind === 'stale') options.graceMs = 1;
    const factory = async (entry: FactoryContext<Buffer | undefined>): Promise<Buffer | undefined> => {
      const rendered = await render();
      if (rendered === undefined) return undefined;
      options.graceMs = rendered.staleMs;
      entry.setTtl(`${Math.max(1, Math.ceil(rendered.freshMs))}ms`);
      if (rendered.tags.length > 0) entry.setTags(rendered.tags);
      return rendered.bytes;
    };
    return { key, name, stampNames, options, factory, counts };
  }
}
