import { type Clock, steadyClock } from '../common/clock.ts';
import { StoreUnavailableError } from '../common/errors.ts';
import { globMatcher } from '../common/glob.ts';
import { LockRecord, type RecordHost } from './lock-record.ts';
import type {
  HandOffListener,
  HandOver,
  HeldKey,
  HeldKeysPage,
  LeaseClaim,
  LockOutcome,
  LockStore,
  Turn,
} from './lock-store.interface.ts';

/** Above this many keys a new one is refused: evicting one would let a second holder in. */
const MAX_KEYS = 100_000;
/** Below this many records it is not worth looking for ended ones. */
const SMALLEST_SWEEP = 1_000;

/** Leases of this process only, for memory mode and for outages. */
export class MemoryLockStore implements LockStore {
  readonly #records = new Map<string, LockRecord>();
  readonly #clock: Clock;
  readonly #maxKeys: number;
  readonly #listeners = new Set<HandOffListener>();
  readonly #host: RecordHost = {
    nextFence: (atLeast) => this.#nextFence(atLeast),
    sawFence: (fence) => void (this.#lastFence = Math.max(this.#lastFence, fence)),
    handedTo: (token) => this.#listeners.forEach((listen) => queueMicrotask(() => listen(token))),
  };
  #lastFence = 0;
  #sweepAt = SMALLEST_SWEEP;

  constructor(clock: Clock = steadyClock, maxKeys = MAX_KEYS) {
    this.#clock = clock;
    this.#maxKeys = maxKeys;
  }

  acquire(key: string, claim: LeaseClaim, turn?: Turn): LockOutcome {
    const now = this.#clock.now();
    return this.#recordFor(key, now).acquire(now, claim, turn);
  }

  extend(key: string, token: string, ttlMs: number): boolean {
    return this.#update(key, (record, now) => record.extend(now, token, ttlMs));
  }

  release(key: string, token: string): boolean {
    return this.#update(key, (record, now) => record.release(now, token));
  }

  handOver(key: string, token: string, claim: LeaseClaim, turn: Turn): HandOver {
    const now = this.#clock.now();
    return this.#recordFor(key, now).handOver(now, token, claim, turn);
  }

  forceRelease(key: string): boolean {
    return this.#update(key, (record, now) => record.forceRelease(now));
  }

  isHeld(key: string): boolean {
    return this.#update(key, (record, now) => record.holders(now).length > 0);
  }

  /** There is nothing that could fail over and forget. */
  replicated(_key: string, wanted: number): number {
    return wanted;
  }

  /** Its cursors are names: a page begins behind the last name of the one before. */
  list(glob: string, cursor: string | undefined, limit: number): HeldKeysPage {
    const matches = globMatcher(glob);
    const names = [...this.#records.keys()].filter((key) => matches(key) && key > (cursor ?? '') && this.isHeld(key));
    const page = names.sort().slice(0, limit);
    return {
      items: page.map((key) => this.#describe(key)),
      cursor: names.length > limit ? (page.at(-1) ?? null) : null,
    };
  }

  listen(listener: HandOffListener): Promise<void> {
    this.#listeners.add(listener);
    return Promise.resolve();
  }

  #describe(key: string): HeldKey {
    const now = this.#clock.now();
    const record = this.#recordFor(key, now);
    const { token, fence } = record.runs(now) ?? { token: '', fence: 0 };
    return { key, token, fence, remainingMs: record.remainingMs(now, 1), waiters: record.waiters };
  }

  #update(key: string, act: (record: LockRecord, now: number) => boolean): boolean {
    const record = this.#records.get(key);
    if (record === undefined) return false;
    const now = this.#clock.now();
    const answer = act(record, now);
    if (record.isIdle(now)) this.#records.delete(key);
    return answer;
  }

  #recordFor(key: string, now: number): LockRecord {
    const known = this.#records.get(key);
    if (known !== undefined) return known;
    this.#makeRoom(now);
    const record = new LockRecord(this.#host);
    this.#records.set(key, record);
    return record;
  }

  /** Microseconds, as on the server; one series for all keys, so that nothing has to be remembered per key. */
  #nextFence(atLeast: number): number {
    const fence = Math.max(this.#lastFence + 1, Math.floor(this.#clock.now() * 1_000), atLeast);
    this.#lastFence = fence;
    return fence;
  }

  /** Looks for ended leases each time the map has doubled, so that a lease costs constant time on average. */
  #makeRoom(now: number): void {
    if (this.#records.size >= Math.min(this.#sweepAt, this.#maxKeys)) {
      for (const [key, record] of this.#records) if (record.isIdle(now)) this.#records.delete(key);
      this.#sweepAt = Math.max(SMALLEST_SWEEP, this.#records.size * 2);
    }
    if (this.#records.size >= this.#maxKeys) {
      throw new StoreUnavailableError('lock.acquire', `${this.#maxKeys} locks are held in this process`);
    }
  }
}
