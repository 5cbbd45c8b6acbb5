import { BoundedMap, type MapLimits } from './bounded-map.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Deque } from './deque.ts';
import { StoreUnavailableError, WrongTypeError } from './errors.ts';

/** What one key holds: one of Redis's kinds, or an entry of the cache. */
export type KeyspaceRecord<E> =
  /** A counter, or text that another program would have written. */
  | { readonly type: 'text'; readonly text: string }
  | { readonly type: 'set'; readonly members: Set<string> }
  | { readonly type: 'hash'; readonly fields: Map<string, string> }
  | { readonly type: 'list'; readonly items: Deque<string> }
  | { readonly type: 'entry'; readonly entry: E };

export type RecordType = KeyspaceRecord<unknown>['type'];
type RecordOf<E, T extends RecordType> = Extract<KeyspaceRecord<E>, { readonly type: T }>;

export interface WriteOptions {
  /** When the record expires, in milliseconds since the epoch; never, when left out. */
  readonly expiresAtMs?: number | undefined;
  /** Heap bytes of the value; key and overhead are added here. */
  readonly bytes: number;
}

interface Stored<E> {
  readonly record: KeyspaceRecord<E>;
  /** `Infinity`: never. */
  expiresAtMs: number;
}

/** The record and what wraps it, as measured. */
const RECORD_OVERHEAD_BYTES = 96;
const NEVER = Number.POSITIVE_INFINITY;
const SWEEP_EVERY_MS = 15_000;
/** A slice of this size takes well under a millisecond, so no sweep is felt by a request. */
const SWEEP_SLICE = 1_000;

/**
 * The keyspace of a server, in this process: typed records with expiry, within bounds.
 *
 * Entries of the cache may be evicted at any time. Everything else is pinned: a counter that silently starts again
 * at zero would be a wrong answer, so when such records alone fill the memory, a write is refused instead.
 */
export class MemoryKeyspace<E> {
  private readonly map: BoundedMap<Stored<E>>;
  /** Where the sweep stands; it survives from slice to slice and is safe against any change meanwhile. */
  private cursor: Iterator<[string, Stored<E>]> | undefined;
  private timer: NodeJS.Timeout | undefined;
  private nextSlice: NodeJS.Immediate | undefined;

  /** @param onEvict told about each entry that left for lack of room; it must neither throw nor write */
  constructor(
    limits: MapLimits,
    private readonly clock: Clock = systemClock,
    onEvict?: (key: string) => void,
  ) {
    this.map = new BoundedMap(limits, onEvict);
  }

  /** How many records are held, expired ones that no sweep has met yet included. */
  get entries(): number {
    return this.map.size;
  }

  get bytes(): number {
    return this.map.bytes;
  }

  /** The live record under `key`; an expired one is removed. */
  read(key: string): KeyspaceRecord<E> | undefined {
    return this.live(key)?.record;
  }

  /** @throws WrongTypeError when the key holds another kind of record */
  readAs<T extends RecordType>(key: string, type: T): RecordOf<E, T> | undefined {
    const record = this.read(key);
    if (record === undefined) return undefined;
    if (record.type !== type) throw new WrongTypeError(`The key holds ${NAMES[record.type]}, not ${NAMES[type]}`);
    return record as RecordOf<E, T>;
  }

  /**
   * Puts a record under `key`, in place of whatever is there.
   * Returns false when an entry is too large to be kept; the key then holds nothing.
   * @throws StoreUnavailableError when pinned records leave no room for this one; nothing has changed then
   */
  write(key: string, record: KeyspaceRecord<E>, { expiresAtMs = NEVER, bytes }: WriteOptions): boolean {
    const stored: Stored<E> = { record, expiresAtMs };
    const cost = bytes + RECORD_OVERHEAD_BYTES;
    if (record.type === 'entry') return this.map.set(key, stored, cost);
    // Expired records may hold the room that is missing: a refused write helps the sweep along, by one slice.
    if (!this.map.fits(key, cost)) this.sweepSlice();
    if (!this.map.fits(key, cost)) throw memoryIsFull();
    return this.map.setPinned(key, stored, cost);
  }

  /**
   * Says that the record under `key`, about to be changed in place, will take so many bytes more, or less.
   * @throws StoreUnavailableError when there is no room for that
   */
  grow(key: string, byBytes: number): void {
    if (this.map.grow(key, byBytes)) return;
    this.sweepSlice();
    if (!this.map.grow(key, byBytes)) throw memoryIsFull();
  }

  /** Whether a live record was there. */
  delete(key: string): boolean {
    return this.live(key) !== undefined && this.map.delete(key);
  }

  /** Milliseconds since the epoch; undefined when there is no record or it never expires. */
  expiresAt(key: string): number | undefined {
    const expiresAtMs = this.live(key)?.expiresAtMs;
    return expiresAtMs === NEVER ? undefined : expiresAtMs;
  }

  /** Sets or, with undefined, takes away the expiry. Returns whether a live record is there. */
  setExpiry(key: string, expiresAtMs: number | undefined): boolean {
    const stored = this.live(key);
    if (stored === undefined) return false;
    stored.expiresAtMs = expiresAtMs ?? NEVER;
    return true;
  }

  /** Live keys that match; records may be written and deleted while this is read. */
  *keys(match: (key: string) => boolean): IterableIterator<string> {
    const now = this.clock.now();
    for (const [key, stored] of this.map) {
      if (stored.expiresAtMs > now && match(key)) yield key;
    }
  }

  /**
   * Deletes the live records whose key matches and says how many there were. Others have their turn in between: what is
   * written meanwhile may be deleted or not, as with a SCAN.
   */
  async deleteMatching(match: (key: string) => boolean): Promise<number> {
    let [deleted, looked] = [0, 0];
    const { size } = this.map;
    for (const [key, stored] of this.map) {
      // What came later is behind all that was there: a flood of writes does not keep this going.
      if (++looked > size) break;
      if (looked % SWEEP_SLICE === 0) await nextTurn();
      if (!match(key)) continue;
      const isLive = stored.expiresAtMs > this.clock.now();
      deleted += Number(this.map.delete(key) && isLive);
    }
    return deleted;
  }

  clear(): void {
    this.map.clear();
    this.cursor = undefined;
  }

  /** Removes expired records in the background from now on; the timer does not keep the process alive. */
  startSweeping(): void {
    this.timer ??= setInterval(() => {
      if (this.nextSlice === undefined) this.sweep();
    }, SWEEP_EVERY_MS).unref();
  }

  stopSweeping(): void {
    clearInterval(this.timer);
    clearImmediate(this.nextSlice);
    this.timer = this.nextSlice = undefined;
  }

  /** One slice per turn of the event loop, until every record has been looked at. */
  private sweep(): void {
    this.nextSlice = this.sweepSlice() ? setImmediate(() => this.sweep()).unref() : undefined;
  }

  /** Looks at the next few records and removes the expired ones; returns whether some are left to look at. */
  private sweepSlice(): boolean {
    const now = this.clock.now();
    this.cursor ??= this.map.entries();
    for (let looked = 0; looked < SWEEP_SLICE; looked++) {
      const next = this.cursor.next();
      if (next.done) {
        this.cursor = undefined;
        return false;
      }
      const [key, stored] = next.value;
      if (stored.expiresAtMs <= now) this.map.delete(key);
    }
    return true;
  }

  private live(key: string): Stored<E> | undefined {
    const stored = this.map.get(key);
    if (stored === undefined || stored.expiresAtMs === NEVER || stored.expiresAtMs > this.clock.now()) return stored;
    this.map.delete(key);
    return undefined;
  }
}

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

const memoryIsFull = () => new StoreUnavailableError('memory.write', 'memory is full');

const NAMES: Readonly<Record<RecordType, string>> = {
  text: 'text',
  set: 'a set',
  hash: 'a hash',
  list: 'a list',
  entry: 'a cached value',
};
