import { nth } from '../common/nth.ts';
import { BoundedMap } from '../common/bounded-map.ts';
import type { Charge, Quota, QuotaState } from './rate-limit-store.interface.ts';

const LIMITS = { maxEntries: 50_000, maxBytes: 16 * 1024 ** 2 };
/** What is known of one subject: its fields, and its place in the map. */
const SEEN_BYTES = 160;

/** What the server said of one subject. Times are milliseconds of the monotonic clock. */
export class Seen {
  used = 0;
  seenAt = 0;
  /** From when on nothing of that counts any more. */
  resetAt = 0;
  /** Until when a request of this cost, or a higher one, is refused, whoever else calls meanwhile. */
  refusedUntil = 0;
  refusedCost = 0;
  isBlocked = false;

  constructor(
    public quota: Quota,
    readonly subject: string,
  ) {}

  learn(quota: Quota, cost: number, { used, resetMs, retryAfterMs, block }: QuotaState, now: number): void {
    this.quota = quota;
    this.used = used;
    this.seenAt = now;
    this.resetAt = now + resetMs;
    this.refusedUntil = retryAfterMs === 0 ? 0 : now + retryAfterMs;
    this.refusedCost = cost;
    this.isBlocked = block !== 'none';
  }
}

/**
 * Remembers what the server said of the subjects that were here last: some refusals need no second question, and
 * during an outage the remainder is shared out.
 */
export class KnownSubjects {
  readonly #seen = new BoundedMap<Seen>(LIMITS);

  get(quota: Quota, subject: string): Seen | undefined {
    return this.#seen.get(nameOf(quota, subject));
  }

  /** What `learn` takes note in. Who is forgotten meanwhile stays forgotten: what was asked before is not true any more. */
  of({ quotas }: Charge, subjects: readonly string[]): Seen[] {
    const all: Seen[] = [];
    for (let at = 0; at < quotas.length; at++) all.push(this.#open(nth(quotas, at), nth(subjects, at)));
    return all;
  }

  /** Takes note of an answer. */
  learn({ quotas, costs }: Charge, known: readonly Seen[], states: readonly QuotaState[]): void {
    const now = performance.now();
    for (let at = 0; at < states.length; at++) {
      nth(known, at).learn(nth(quotas, at), nth(costs, at), nth(states, at), now);
    }
  }

  /** What the server would answer, where it is known that it would refuse; undefined where it has to be asked. */
  refusal({ quotas, costs, consumesOnReject }: Charge, known: readonly Seen[]): readonly QuotaState[] | undefined {
    if (!known.some(wasRefused)) return undefined;
    // The others would be charged.
    if (consumesOnReject && quotas.length > 1) return undefined;
    const now = performance.now();
    const isRefused = quotas.some(
      (quota, at) => !quota.isShadow && refuses(nth(known, at), quota, nth(costs, at), now),
    );
    if (!isRefused) return undefined;
    return known.map((seen, at) => stateOf(seen, refuses(seen, nth(quotas, at), nth(costs, at), now), now));
  }

  forget(quota: Pick<Quota, 'id'>, subject: string): void {
    this.#seen.delete(nameOf(quota, subject));
  }

  forgetAll(): void {
    this.#seen.clear();
  }

  /** What the server has counted, as far as it is known here and still counts. */
  *counted(): IterableIterator<Seen> {
    const now = performance.now();
    for (const [, seen] of this.#seen.entries()) if (seen.used > 0 && seen.resetAt > now) yield seen;
  }

  #open(quota: Quota, subject: string): Seen {
    const name = nameOf(quota, subject);
    const known = this.#seen.get(name);
    if (known !== undefined) return known;
    const seen = new Seen(quota, subject);
    this.#seen.set(name, seen, SEEN_BYTES);
    return seen;
  }
}

const wasRefused = ({ refusedUntil }: Seen): boolean => refusedUntil > 0;

/** A violation counts towards a block: the server has to hear of it, unless the subject is blocked already. */
const refuses = (seen: Seen, quota: Quota, cost: number, now: number): boolean =>
  now < seen.refusedUntil &&
  cost >= seen.refusedCost &&
  quota.capacity <= seen.quota.capacity &&
  (quota.escalation === undefined || seen.isBlocked);

function stateOf(seen: Seen, isRefused: boolean, now: number): QuotaState {
  if (now >= seen.resetAt) return { used: 0, resetMs: 0, retryAfterMs: 0, block: 'none' };
  return {
    used: seen.used,
    resetMs: Math.ceil(seen.resetAt - now),
    retryAfterMs: isRefused ? Math.ceil(seen.refusedUntil - now) : 0,
    block: isRefused && seen.isBlocked ? 'blocked' : 'none',
  };
}

/** The id of a quota has no end that could be part of a subject. */
const nameOf = ({ id }: Pick<Quota, 'id'>, subject: string): string => `${id}:${subject}`;
