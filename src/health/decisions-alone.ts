import type { Telemetry } from '../common/telemetry.ts';

/** Decisions that this process took without the server, from the first one until a minute passed without another. */
export interface Spell {
  readonly rateLimits: number;
  readonly locks: number;
  readonly sinceMs: number;
}

type Counts = Pick<Spell, 'rateLimits' | 'locks'>;

const QUIET_MS = 60_000;

/** Finds such spells in the figures when somebody looks: deciding stays as fast as it is. */
export class DecisionsAlone {
  /** Before the spell. */
  #before: Counts = { rateLimits: 0, locks: 0 };
  #last: Counts = this.#before;
  #spell: { readonly sinceMs: number; readonly lastMs: number } | undefined;

  constructor(private readonly telemetry: Telemetry) {}

  look(nowMs = Date.now()): Spell | undefined {
    const counts = this.#count();
    const isMore = counts.rateLimits > this.#last.rateLimits || counts.locks > this.#last.locks;
    if (this.#spell !== undefined && !isMore && nowMs - this.#spell.lastMs > QUIET_MS) {
      this.#spell = undefined;
      this.#before = counts;
    }
    if (isMore) this.#spell = { sinceMs: this.#spell?.sinceMs ?? nowMs, lastMs: nowMs };
    this.#last = counts;
    if (this.#spell === undefined) return undefined;
    const { rateLimits, locks } = this.#before;
    return { rateLimits: counts.rateLimits - rateLimits, locks: counts.locks - locks, sinceMs: this.#spell.sinceMs };
  }

  #count(): Counts {
    const { policies, locks } = this.telemetry;
    return { rateLimits: sumOf(policies.values()), locks: sumOf(locks.values()) };
  }
}

const sumOf = (all: Iterable<{ readonly degraded: number }>): number =>
  [...all].reduce((sum, { degraded }) => sum + degraded, 0);
