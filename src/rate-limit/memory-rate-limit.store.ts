import { nth } from '../common/nth.ts';
import { type Clock, systemClock } from '../common/clock.ts';
import type { Charge, Quota, QuotaState, RateLimitStore } from './rate-limit-store.interface.ts';
import { type SubjectRecord, SubjectTable } from './subject-table.ts';

const LIMITS = { maxEntries: 100_000, maxBytes: 64 * 1024 ** 2 };

/** Counts in this process only, for memory mode and for outages. Tables share the room among them. */
export class MemoryRateLimitStore implements RateLimitStore {
  readonly #tables = new Map<string, SubjectTable>();
  readonly #clock: Clock;
  readonly #total: typeof LIMITS;
  /** Of each table, which reads them anew each time it makes room. */
  readonly #limits: { maxEntries: number; maxBytes: number };

  constructor(clock: Clock = systemClock, limits = LIMITS) {
    this.#clock = clock;
    this.#total = limits;
    this.#limits = { ...limits };
  }

  spend(charge: Charge, subjects: readonly string[]): readonly QuotaState[] {
    return this.#judge(charge, subjects, true);
  }

  look(charge: Charge, subjects: readonly string[]): readonly QuotaState[] {
    return this.#judge(charge, subjects, false);
  }

  refund(quota: Quota, subject: string, units: number): void {
    const nowUs = this.#nowUs();
    const { count, penalty } = this.#tables.get(quota.id)?.get(subject, nowUs) ?? {};
    penalty?.blockedMs(nowUs);
    count?.at(nowUs, quota.capacity);
    count?.remove(units);
  }

  block(quota: Quota, subject: string, ms: number): void {
    const nowUs = this.#nowUs();
    const table = this.#tableOf(quota);
    const record = table.open(subject, quota, nowUs);
    record.penalize().block(nowUs, ms);
    table.keep(subject, record, record.count.at(nowUs, quota.capacity));
  }

  reset(quota: Quota, subject: string): void {
    this.#tables.get(quota.id)?.delete(subject);
  }

  /** What still counts, for whoever has to pass it on. */
  *counted(): IterableIterator<{ quota: Quota; subject: string; used: number }> {
    const nowUs = this.#nowUs();
    for (const table of this.#tables.values()) {
      for (const [subject, { quota, count }] of table.entries()) {
        const used = count.at(nowUs, quota.capacity);
        if (used > 0) yield { quota, subject, used };
      }
    }
  }

  #judge(charge: Charge, subjects: readonly string[], spends: boolean): QuotaState[] {
    const { quotas, costs, consumesOnReject } = charge;
    const nowUs = this.#nowUs();
    if (spends && quotas.length === 1) {
      const admitted = this.#admit(nth(quotas, 0), nth(subjects, 0), nth(costs, 0), nowUs);
      if (admitted !== undefined) return [admitted];
    }
    const entries = quotas.map((quota, at) => this.#examine(quota, nth(subjects, at), nth(costs, at), nowUs));
    const isRefused = entries.some(({ fits, quota }) => !fits && !quota.isShadow);
    const isCharged = spends && (!isRefused || consumesOnReject);
    return entries.map((entry) => {
      if (entry.fits) return isCharged ? this.#charge(entry, nowUs) : stateOf(entry);
      const isImposed = spends && this.#violate(entry, nowUs);
      return stateOf(entry, isImposed);
    });
  }

  /** What most calls are: one quota that admits a subject which has called before. Undefined when it is not that. */
  #admit(quota: Quota, subject: string, cost: number, nowUs: number): QuotaState | undefined {
    const table = this.#tables.get(quota.id);
    const record = table?.get(subject, nowUs);
    if (table === undefined || record === undefined || record.penalty !== undefined) return undefined;
    const { count } = record;
    const used = count.at(nowUs, quota.capacity) + cost;
    if (used > quota.capacity) return undefined;
    count.add(cost);
    table.keep(subject, record, used);
    return { used, resetMs: count.msUntil(0), retryAfterMs: 0, block: 'none' };
  }

  #examine(quota: Quota, subject: string, cost: number, nowUs: number): Entry {
    const record = this.#tables.get(quota.id)?.get(subject, nowUs);
    const used = record?.count.at(nowUs, quota.capacity) ?? 0;
    const blockedMs = record?.penalty?.blockedMs(nowUs) ?? 0;
    return { quota, subject, cost, record, used, blockedMs, fits: blockedMs === 0 && used + cost <= quota.capacity };
  }

  #charge(entry: Entry, nowUs: number): QuotaState {
    const { quota, subject, cost } = entry;
    const table = this.#tableOf(quota);
    const record = entry.record ?? table.open(subject, quota, nowUs);
    record.count.at(nowUs, quota.capacity);
    record.count.add(cost);
    const used = entry.used + cost;
    table.keep(subject, record, used);
    return { used, resetMs: record.count.msUntil(0), retryAfterMs: 0, block: 'none' };
  }

  /** Takes note of a refusal; whether the subject is blocked from now on. */
  #violate(entry: Entry, nowUs: number): boolean {
    const { quota, subject, record, used } = entry;
    if (quota.escalation === undefined || entry.blockedMs > 0 || record === undefined) return false;
    const isImposed = record.penalize().violate(nowUs, quota.escalation);
    this.#tableOf(quota).keep(subject, record, used);
    entry.blockedMs = record.penalty?.blockedMs(nowUs) ?? 0;
    return isImposed;
  }

  #tableOf({ id }: Quota): SubjectTable {
    const known = this.#tables.get(id);
    if (known !== undefined) return known;
    const table = new SubjectTable(this.#limits);
    this.#tables.set(id, table);
    this.#limits.maxEntries = Math.ceil(this.#total.maxEntries / this.#tables.size);
    this.#limits.maxBytes = Math.ceil(this.#total.maxBytes / this.#tables.size);
    return table;
  }

  #nowUs(): number {
    return Math.floor(this.#clock.now() * 1_000);
  }
}

/** One quota of a request, before it is decided. */
interface Entry {
  readonly quota: Quota;
  readonly subject: string;
  readonly cost: number;
  readonly record: SubjectRecord | undefined;
  readonly used: number;
  blockedMs: number;
  /** Whether this quota admits the request. */
  readonly fits: boolean;
}

function stateOf({ quota, cost, record, used, blockedMs, fits }: Entry, isImposed = false): QuotaState {
  const resetMs = record?.count.msUntil(0) ?? 0;
  if (fits) return { used, resetMs, retryAfterMs: 0, block: 'none' };
  return {
    used,
    resetMs: Math.max(resetMs, blockedMs),
    retryAfterMs: Math.max(record?.count.msUntil(quota.capacity - cost) ?? 0, blockedMs),
    block: isImposed ? 'imposed' : blockedMs > 0 ? 'blocked' : 'none',
  };
}
