import { nth } from '../common/nth.ts';
import { BoundedMap } from '../common/bounded-map.ts';
import type { Charge, Quota, QuotaState } from './rate-limit-store.interface.ts';

const LIMITS = { maxEntries: 50_000, maxBytes: 16 * 1024 ** 2 };
/** What is known of one subject: its fields, and its place in the map. */
const SEEN_BYTES = 160;

/** What the server said of one subject. Times are milliseconds of the monotonic clock. */
export interface Seen {
  readonly quota: Quota;
  readonly subject: string;
  readonly used: number;
  readonly seenAt: number;
  /** From when on nothing of that counts any more. */
  readonly resetAt: number;
  /** Until when a request of this cost, or a higher one, is refused, whoever else calls meanwhile. */
  readonly refusedUntil: number;
  readonly refusedCost: number;
  readonly isBlocked: boolean;
}

/**
 * Remembers what the server said of the subjects that were here last: some refusals need no second question, and
 * during an outage the remainder is shared out.
 */
export class KnownSubjects {
  readonly #seen = new BoundedMap<{ last: Seen }>(LIMITS);

  get(quota: Quota, subject: string): Seen | undefined {
    return this.#seen.get(nameOf(quota, subject))?.last;
  }

  /** Takes note of an answer. */
  learn({ quotas, costs }: Charge, subjects: readonly string[], states: readonly QuotaState[]): void {
    const now = performance.now();
    for (let at = 0; at < states.length; at++) {
      const [quota, subject, cost] = [nth(quotas, at), nth(subjects, at), nth(costs, at)];
      const name = nameOf(quota, subject);
      const known = this.#seen.get(name);
      const { used, resetMs, retryAfterMs, block } = nth(states, at);
      const seen: Seen = {
        quota,
        subject,
        used,
        seenAt: now,
        resetAt: now + resetMs,
        refusedUntil: retryAfterMs === 0 ? 0 : now + retryAfterMs,
        refusedCost: cost,
        isBlocked: block !== 'none',
      };
      // Most subjects are known: what is written over moves nothing.
      if (known === undefined) this.#seen.set(name, { last: seen }, SEEN_BYTES);
      else known.last = seen;
    }
  }

  /** What the server would answer, where it is known that it would refuse; undefined where it has to be asked. */
  refusal(charge: Charge, subjects: readonly string[]): readonly QuotaState[] | undefined {
    const { quotas, costs, consumesOnReject } = charge;
    // The others would be charged.
    if (consumesOnReject && quotas.length > 1) return undefined;
    const now = performance.now();
    const known = quotas.map((quota, at) => this.get(quota, nth(subjects, at)));
    if (known.every((seen) => seen === undefined || seen.refusedUntil <= now)) return undefined;
    const isRefused = quotas.some((quota, at) => !quota.isShadow && refuses(known[at], quota, nth(costs, at), now));
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
    for (const [, { last }] of this.#seen.entries()) if (last.used > 0 && last.resetAt > now) yield last;
  }
}

/** A violation counts towards a block: the server has to hear of it, unless the subject is blocked already. */
const refuses = (seen: Seen | undefined, quota: Quota, cost: number, now: number): boolean =>
  seen !== undefined &&
  now < seen.refusedUntil &&
  cost >= seen.refusedCost &&
  quota.capacity <= seen.quota.capacity &&
  (quota.escalation === undefined || seen.isBlocked);

function stateOf(seen: Seen | undefined, isRefused: boolean, now: number): QuotaState {
  if (seen === undefined || now >= seen.resetAt) return { used: 0, resetMs: 0, retryAfterMs: 0, block: 'none' };
  return {
    used: seen.used,
    resetMs: Math.ceil(seen.resetAt - now),
    retryAfterMs: isRefused ? Math.ceil(seen.refusedUntil - now) : 0,
    block: isRefused && seen.isBlocked ? 'blocked' : 'none',
  };
}

/** The id of a quota has no end that could be part of a subject. */
const nameOf = ({ id }: Pick<Quota, 'id'>, subject: string): string => `${id}:${subject}`;
