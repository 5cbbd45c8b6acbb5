import { nth } from '../common/nth.ts';
import type { KnownSubjects } from './known-subjects.ts';
import { MemoryRateLimitStore } from './memory-rate-limit.store.ts';
import type { Charge, Quota, QuotaState, Restoration } from './rate-limit-store.interface.ts';

/** As long as our own clock is set forth or back, nobody gains by it. */
const monotonic = { now: () => performance.timeOrigin + performance.now() };

/**
 * Judges while the server is away: each of `instances` processes admits its share of what was left when the server was
 * last heard of, and, when that no longer counts, its share of the whole quota. Both are rounded up: the processes
 * together exceed the limit by less than one unit each.
 */
export class LocalShare {
  readonly #store = new MemoryRateLimitStore(monotonic);
  #hasDebts = false;

  constructor(
    private readonly known: KnownSubjects,
    private readonly instances: number,
  ) {}

  /** Whether something may have been admitted that the server does not know of. */
  get hasDebts(): boolean {
    return this.#hasDebts;
  }

  spend(charge: Charge, subjects: readonly string[]): readonly QuotaState[] {
    return this.#judge(charge, subjects, 'spend');
  }

  look(charge: Charge, subjects: readonly string[]): readonly QuotaState[] {
    return this.#judge(charge, subjects, 'look');
  }

  refund(quota: Quota, subject: string, units: number): void {
    this.#store.refund(quota, subject, units);
  }

  block(quota: Quota, subject: string, ms: number): void {
    this.#store.block(quota, subject, ms);
  }

  reset(quota: Quota, subject: string): void {
    this.#store.reset(quota, subject);
  }

  /** What was admitted here and still counts: of all subjects, or of these. */
  debts(charge?: Charge, subjects: readonly string[] = []): Restoration[] {
    const owed = (quota: Quota, subject: string, added: number) => ({ quota, subject, known: 0, knownAgoMs: 0, added });
    if (charge === undefined) {
      return [...this.#store.counted()].map(({ quota, subject, used }) => owed(quota, subject, used));
    }
    const states = this.#store.look(charge, subjects);
    return states.flatMap(({ used }, at) => (used > 0 ? [owed(nth(charge.quotas, at), nth(subjects, at), used)] : []));
  }

  /** The server knows of these now. */
  settle(restorations: readonly Restoration[]): void {
    for (const { quota, subject, added } of restorations) if (added > 0) this.#store.refund(quota, subject, added);
    this.#hasDebts = !this.#store.counted().next().done;
  }

  #judge(charge: Charge, subjects: readonly string[], act: 'spend' | 'look'): readonly QuotaState[] {
    const shares = charge.quotas.map((quota, at) => this.#shareOf(quota, nth(subjects, at)));
    const isHopeless = shares.some(({ quota, isEmpty }, at) => !quota.isShadow && isEmpty(nth(charge.costs, at)));
    const quotas = shares.map(({ quota }) => quota);
    const states = this.#store[isHopeless ? 'look' : act]({ ...charge, quotas }, subjects);
    this.#hasDebts ||= act === 'spend' && !isHopeless;
    return states.map((state, at) => nth(shares, at).widen(state, nth(charge.costs, at)));
  }

  #shareOf(quota: Quota, subject: string): Share {
    const seen = this.known.get(quota, subject);
    const waitMs = seen === undefined ? 0 : Math.max(0, Math.ceil(seen.resetAt - performance.now()));
    const left = seen === undefined || waitMs === 0 ? quota.capacity : Math.max(0, quota.capacity - seen.used);
    return new Share(quota, Math.ceil(left / this.instances), this.instances, waitMs);
  }
}

/** What one process may admit of a quota. */
class Share {
  readonly quota: Quota;

  constructor(
    private readonly whole: Quota,
    private readonly capacity: number,
    instances: number,
    /** Until the share is that of the whole quota. */
    private readonly waitMs: number,
  ) {
    const stepUs = whole.algorithm === 'gcra' ? whole.stepUs * instances : whole.stepUs;
    this.quota = { ...whole, capacity, stepUs };
  }

  /** Whether a request of this cost does not fit even if nobody has called here. */
  readonly isEmpty = (cost: number): boolean => cost > this.capacity;

  /** The state of the share as one of the whole quota: nothing is left but what this process may admit. */
  widen(state: QuotaState, cost: number): QuotaState {
    const used = this.whole.capacity - Math.max(0, this.capacity - state.used);
    const resetMs = Math.max(state.resetMs, this.waitMs);
    if (!this.isEmpty(cost)) return { ...state, used, resetMs };
    return { ...state, used, resetMs, retryAfterMs: Math.max(state.retryAfterMs, this.waitMs, MIN_WAIT_MS) };
  }
}

/** Where a cost exceeds even the share of a whole quota, only the server can admit it. */
const MIN_WAIT_MS = 1_000;
