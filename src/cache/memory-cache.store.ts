import { BoundedMap, bytesOfText } from '../common/bounded-map.ts';
import type { Clock } from '../common/clock.ts';
import { globMatcher } from '../common/glob.ts';
import type { MemoryKeyspace } from '../common/memory-keyspace.ts';
import { PassingMap } from '../common/passing-map.ts';
import type { Shard } from '../redis/availability.types.ts';
import { ABSENT, type CacheEntry, type EntryDraft, type Found } from './cache-entry.ts';
import type { Acquisition, CacheStore, EntryDrafts, KeyDescription, LeaseRequest } from './cache-store.interface.ts';

interface Lease {
  token: string;
  untilMs: number;
  isAwaited: boolean;
}

/** Room that an entry takes beside its payload and the record it lies in: its fields, times and version. */
const ENTRY_BYTES = 128;
/** Room for the versions of tags; a forgotten one is created anew, which makes its entries absent. */
const MAX_VERSIONS = { maxEntries: 100_000, maxBytes: 32 * 1024 ** 2 };
const NO_VERSION = '0'.repeat(16);

/** Memory is never away. */
export const MEMORY_SHARD: Shard = { isAvailable: true, place: '', holds: () => true };

/**
 * Entries in this process, with the same leases and versions as on a server, so that memory mode gives the same
 * answers. Leases live beside the entries: they must not be evicted with them.
 */
export class MemoryCacheStore implements CacheStore {
  private readonly leases = new PassingMap<Lease>();
  private readonly tagVersions = new BoundedMap<string>(MAX_VERSIONS);
  private lastVersion = 0;

  /** @param wake told when a key that somebody waited for was filled or given up */
  constructor(
    private readonly keyspace: MemoryKeyspace<CacheEntry>,
    private readonly clock: Clock,
    private readonly wake: (key: string) => void,
  ) {}

  readonly shards: readonly Shard[] = [MEMORY_SHARD];
  readonly places: readonly string[] = [''];

  shardOf(): Shard {
    return MEMORY_SHARD;
  }

  now(): number {
    return this.clock.now();
  }

  read(key: string): Promise<Found> {
    return Promise.resolve(this.find(key));
  }

  versions(keys: readonly string[]): Promise<readonly (string | undefined)[]> {
    return Promise.resolve(keys.map((key) => this.tagVersions.get(key)));
  }

  capture(keys: readonly string[]): Promise<readonly string[]> {
    return Promise.resolve(
      keys.map((key) => this.tagVersions.get(key) ?? this.remember(key, `${this.nextVersion()}.${NO_VERSION}`)),
    );
  }

  async acquire(key: string, { token, leaseMs, distrusted }: LeaseRequest): Promise<Acquisition> {
    const found = this.find(key);
    // Nothing else is of a kind that an entry could be stored over.
    if (found.kind === 'absent') this.keyspace.readAs(key, 'entry');
    if (found.kind === 'foreign' && distrusted !== 'corrupt') return { kind: 'found', found };
    if (found.kind === 'entry' && this.isAcceptable(found.entry, distrusted)) return { kind: 'found', found };
    const now = this.now();
    const held = this.leaseOf(key);
    if (held !== undefined && held.token.slice(0, 16) >= token.slice(0, 16)) {
      held.isAwaited = true;
      return { kind: 'held', remainingMs: held.untilMs - now };
    }
    this.leases.set(key, { token, untilMs: now + leaseMs, isAwaited: held?.isAwaited ?? false });
    return { kind: 'granted', atMs: now };
  }

  async renew(key: string, token: string, leaseMs: number): Promise<boolean> {
    const lease = this.leaseOf(key, token);
    if (lease === undefined) return false;
    lease.untilMs = this.now() + leaseMs;
    return true;
  }

  async fill(key: string, token: string, draft: EntryDraft): Promise<boolean> {
    if (this.leaseOf(key, token) === undefined) return false;
    this.put(key, draft);
    return true;
  }

  async abandon(key: string, token: string, corrupt?: string): Promise<void> {
    if (this.leaseOf(key, token) === undefined) return;
    const found = this.find(key);
    const isCorrupt = corrupt === 'corrupt' || (found.kind === 'entry' && found.entry.version === corrupt);
    if (isCorrupt) this.keyspace.delete(key);
    this.endLease(key);
  }

  async write({ entries, ...common }: EntryDrafts): Promise<void> {
    for (const { key, encoded } of entries) this.put(key, { costMs: 0, ...common, ...encoded });
  }

  async del(keys: readonly string[]): Promise<number> {
    let removed = 0;
    for (const key of keys) {
      this.endLease(key);
      if (this.keyspace.delete(key)) removed++;
    }
    return removed;
  }

  async delPattern(pattern: string): Promise<number> {
    const matches = globMatcher(pattern);
    for (const [key] of this.leases) if (matches(key)) this.endLease(key);
    return this.keyspace.deleteMatching(matches);
  }

  async bump(keys: readonly string[], mode: 'delete' | 'expire'): Promise<void> {
    for (const key of keys) {
      const now = this.nextVersion();
      const deleted = this.tagVersions.get(key)?.slice(0, 16) ?? NO_VERSION;
      this.remember(key, `${mode === 'delete' ? now : deleted}.${now}`);
    }
  }

  async describe(key: string): Promise<KeyDescription> {
    const record = this.keyspace.read(key);
    if (record === undefined) return { type: 'none', pttlMs: -2 };
    const expiresAtMs = this.keyspace.expiresAt(key);
    const type = record.type === 'entry' || record.type === 'text' ? 'string' : record.type;
    return { type, pttlMs: expiresAtMs === undefined ? -1 : expiresAtMs - this.now() };
  }

  async expire(key: string, ttlMs: number): Promise<boolean> {
    const record = this.keyspace.read(key);
    const untilMs = this.now() + ttlMs;
    if (record?.type !== 'entry') return this.keyspace.setExpiry(key, untilMs);
    const graceMs = record.entry.keptUntilMs - record.entry.freshUntilMs;
    this.store(key, { ...record.entry, freshUntilMs: untilMs, keptUntilMs: untilMs + graceMs });
    return true;
  }

  async spoil(keys: readonly string[]): Promise<number> {
    const now = this.now();
    let spoilt = 0;
    for (const key of keys) {
      const record = this.keyspace.read(key);
      if (record?.type !== 'entry') continue;
      spoilt++;
      this.store(key, { ...record.entry, freshUntilMs: Math.min(record.entry.freshUntilMs, now) });
    }
    return spoilt;
  }

  private find(key: string): Found {
    const record = this.keyspace.read(key);
    if (record?.type === 'entry') return { kind: 'entry', entry: record.entry };
    return record?.type === 'text' ? { kind: 'foreign', text: Buffer.from(record.text) } : ABSENT;
  }

  private isAcceptable(entry: CacheEntry, distrusted: string | undefined): boolean {
    return distrusted !== 'corrupt' && entry.version !== distrusted && entry.freshUntilMs > this.now();
  }

  /** The lease on a key while it lasts; with a token, only if it is that one. */
  private leaseOf(key: string, token?: string): Lease | undefined {
    const lease = this.leases.get(key);
    if (lease === undefined || (token !== undefined && lease.token !== token)) return undefined;
    if (lease.untilMs > this.now()) return lease;
    this.leases.delete(key);
    return undefined;
  }

  private put(key: string, draft: EntryDraft): void {
    const { codec, payload, costMs, stamps, ttlMs, keepMs } = draft;
    const now = this.now();
    const freshUntilMs = now + ttlMs;
    const keptUntilMs = now + keepMs;
    this.store(key, { version: this.nextVersion(), codec, payload, costMs, stamps, freshUntilMs, keptUntilMs });
    this.endLease(key);
  }

  private store(key: string, entry: CacheEntry): void {
    const { payload, keptUntilMs } = entry;
    const bytes = ENTRY_BYTES + (typeof payload === 'string' ? bytesOfText(payload) : payload.length);
    this.keyspace.write(key, { type: 'entry', entry }, { expiresAtMs: keptUntilMs, bytes });
  }

  private endLease(key: string): void {
    const lease = this.leases.get(key);
    this.leases.delete(key);
    if (lease?.isAwaited === true) this.wake(key);
  }

  /** Microseconds, as on a server, and never the same twice. */
  private nextVersion(): string {
    this.lastVersion = Math.max(this.lastVersion + 1, Math.round(this.now() * 1_000));
    return String(this.lastVersion).padStart(16, '0');
  }

  private remember(key: string, version: string): string {
    this.tagVersions.set(key, version, bytesOfText(version));
    return version;
  }
}
