import type { Clock } from '../common/clock.ts';
import { StoreUnavailableError } from '../common/errors.ts';
import type { LockOutcome, LockStore } from './lock-store.interface.ts';

interface Lease {
  readonly token: string;
  readonly fence: number;
  readonly endsAt: number;
}

/** Above this many running leases a new one is refused: evicting one would let a second holder in. */
const MAX_LEASES = 100_000;
/** Below this many records it is not worth looking for ended ones. */
const SMALLEST_SWEEP = 1_000;

/** Does not jump when the machine's time is set: a lease must not end here while its holder still counts on it. */
const steadyClock: Clock = { now: () => performance.timeOrigin + performance.now() };

/** Leases of this process only, for memory mode and for outages. */
export class MemoryLockStore implements LockStore {
  readonly #leases = new Map<string, Lease>();
  readonly #clock: Clock;
  readonly #maxLeases: number;
  #lastFence = 0;
  #sweepAt = SMALLEST_SWEEP;

  constructor(clock: Clock = steadyClock, maxLeases = MAX_LEASES) {
    this.#clock = clock;
    this.#maxLeases = maxLeases;
  }

  acquire(key: string, token: string, ttlMs: number): LockOutcome {
    const running = this.#running(key);
    if (running === undefined) return this.#grant(key, token, ttlMs);
    if (running.token !== token) {
      return { kind: 'held', remainingMs: Math.ceil(running.endsAt - this.#clock.now()) };
    }
    this.extend(key, token, ttlMs);
    return { kind: 'acquired', fence: running.fence };
  }

  extend(key: string, token: string, ttlMs: number): boolean {
    const running = this.#running(key);
    if (running?.token !== token) return false;
    this.#leases.set(key, { ...running, endsAt: Math.max(running.endsAt, this.#clock.now() + ttlMs) });
    return true;
  }

  release(key: string, token: string): boolean {
    return this.#running(key)?.token === token && this.#leases.delete(key);
  }

  forceRelease(key: string): boolean {
    return this.#running(key) !== undefined && this.#leases.delete(key);
  }

  isHeld(key: string): boolean {
    return this.#running(key) !== undefined;
  }

  #running(key: string): Lease | undefined {
    const lease = this.#leases.get(key);
    if (lease !== undefined && lease.endsAt > this.#clock.now()) return lease;
    this.#leases.delete(key);
    return undefined;
  }

  #grant(key: string, token: string, ttlMs: number): LockOutcome {
    const now = this.#clock.now();
    this.#makeRoom(now);
    // Microseconds, as on the server; one series for all keys, so that nothing has to be remembered per key.
    const fence = Math.max(this.#lastFence + 1, Math.floor(now * 1_000));
    this.#lastFence = fence;
    this.#leases.set(key, { token, fence, endsAt: now + ttlMs });
    return { kind: 'acquired', fence };
  }

  /** Looks for ended leases each time the map has doubled, so that a lease costs constant time on average. */
  #makeRoom(now: number): void {
    if (this.#leases.size >= Math.min(this.#sweepAt, this.#maxLeases)) {
      for (const [key, lease] of this.#leases) if (lease.endsAt <= now) this.#leases.delete(key);
      this.#sweepAt = Math.max(SMALLEST_SWEEP, this.#leases.size * 2);
    }
    if (this.#leases.size >= this.#maxLeases) {
      throw new StoreUnavailableError('lock.acquire', `${this.#maxLeases} locks are held in this process`);
    }
  }
}
