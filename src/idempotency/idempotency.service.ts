import { setTimeout as sleep } from 'node:timers/promises';
import { isOutcomeUnknownError, isStoreFailure } from '../common/errors.ts';
import type { KeySpace } from '../common/keys.ts';
import type { LeveledLogger } from '../common/leveled-logger.ts';
import { Telemetry } from '../common/telemetry.ts';
import { within } from '../common/within.ts';
import { newToken } from '../lock/lock-lease.ts';
import type { Claim, ClaimOutcome, IdempotencyStore } from './idempotency-store.interface.ts';
import { IdempotentRun, type RunEnd } from './idempotent-run.ts';
import { MemoryIdempotencyStore } from './memory-idempotency.store.ts';

/** A request that wants to run, or the answer of an equal one that has. */
export interface RunRequest {
  /** Stands for user, route and key. */
  readonly identity: string;
  readonly fingerprint: string;
  readonly leaseMs: number;
  readonly waitMs: number;
  readonly onOutage: 'reject' | 'local';
  /** `Class.method`, for the log. */
  readonly route: string;
  /** Whether anybody still waits for the outcome. */
  readonly isWanted: () => boolean;
}

/** What comes of it. */
export type Beginning =
  | { readonly kind: 'begun'; readonly run: IdempotentRun }
  | { readonly kind: 'unavailable'; readonly cause: unknown }
  | Exclude<ClaimOutcome, { kind: 'claimed' }>;

/** What is counted. */
export type IdempotencyCount =
  /** Runs, by how they ended. */
  | RunEnd
  /** Runs that were protected in this process only. */
  | 'degraded'
  | 'replayed'
  | 'conflict'
  | 'mismatch'
  | 'invalid'
  | 'answer-lost'
  | 'unavailable';

const FIRST_PAUSE_MS = 20;
const LONGEST_PAUSE_MS = 250;
const FORGET_EVERY_MS = 1_000;

export interface IdempotencySetup {
  readonly store: IdempotencyStore;
  readonly keys: KeySpace;
  readonly logger?: Pick<LeveledLogger, 'warn'>;
  readonly telemetry?: Telemetry;
}

/** Lets one of equal requests run and keeps what it answers; decides what a failure of the store means to them. */
export class IdempotencyService {
  /** What `onOutage: 'local'` falls back to. */
  readonly #local = new MemoryIdempotencyStore();
  readonly #runs = new Set<IdempotentRun>();
  readonly #telemetry: Telemetry;
  #isClosed = false;

  constructor(private readonly setup: IdempotencySetup) {
    this.#telemetry = setup.telemetry ?? new Telemetry();
  }

  async begin(request: RunRequest): Promise<Beginning> {
    const { identity, fingerprint, leaseMs } = request;
    const name = this.setup.keys.internal('idempotency', identity);
    const claim: Claim = { token: newToken(), fingerprint, leaseMs };
    try {
      const outcome = await this.#claimed(this.setup.store, name, claim, request);
      return outcome.kind === 'claimed' ? this.#begun(this.setup.store, name, claim, request) : outcome;
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      // It may have been granted, and nobody would use it.
      if (isOutcomeUnknownError(error)) void this.#forget(name, claim);
      return request.onOutage === 'local'
        ? this.#beginHere(name, claim, request)
        : { kind: 'unavailable', cause: error };
    }
  }

  count(outcome: IdempotencyCount): void {
    this.#telemetry.idempotency.of(outcome).n++;
  }

  /**
   * A server answers again: it hears of what runs, and of what has run, before anybody here can ask it. Never rejects.
   * @param store the same store, through a door that is open already
   * @param holds which names it is about
   */
  async verify(store: IdempotencyStore, holds: (name: string) => boolean): Promise<void> {
    const concerned = [...this.#runs].filter((run) => run.isIn(this.setup.store, holds));
    await Promise.all(concerned.map((run) => run.verify(store)));
  }

  /** Waits for what runs, `budgetMs` at most: handlers may have outlived their clients. */
  async close(budgetMs: number): Promise<void> {
    await within(Promise.all([...this.#runs].map(({ ended }) => ended)), budgetMs, undefined);
    this.#isClosed = true;
    for (const run of this.#runs) run.abandon();
  }

  async #claimed(store: IdempotencyStore, name: string, claim: Claim, request: RunRequest): Promise<ClaimOutcome> {
    const giveUpAt = performance.now() + request.waitMs;
    for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(LONGEST_PAUSE_MS, pauseMs * 2)) {
      const outcome = await store.claim(name, claim);
      const leftMs = giveUpAt - performance.now();
      if (outcome.kind !== 'running' || leftMs <= 0 || !request.isWanted()) return outcome;
      await sleep(Math.min(pauseMs, leftMs), undefined, { ref: false });
    }
  }

  #begun(store: IdempotencyStore, name: string, claim: Claim, { route }: RunRequest): Beginning {
    const onEnd = (end: RunEnd): void => {
      this.#runs.delete(run);
      this.count(end);
      if (end === 'lost') this.setup.logger?.warn(`${route} outlasted its lease: an equal request may have run, too`);
    };
    const run: IdempotentRun = new IdempotentRun({ store, name, claim, onEnd });
    this.#runs.add(run);
    return { kind: 'begun', run };
  }

  async #beginHere(name: string, claim: Claim, request: RunRequest): Promise<Beginning> {
    try {
      const outcome = await this.#claimed(this.#local, name, claim, request);
      if (outcome.kind !== 'claimed') return outcome;
      this.count('degraded');
      return this.#begun(this.#local, name, claim, request);
    } catch (cause) {
      return { kind: 'unavailable', cause };
    }
  }

  /** Nobody uses a claim that was granted behind our back: others need not wait for its end. */
  async #forget(name: string, { token, leaseMs }: Claim): Promise<void> {
    const endsAt = performance.now() + leaseMs;
    while (performance.now() < endsAt && !this.#isClosed) {
      try {
        await this.setup.store.release(name, token);
        return;
      } catch {
        await sleep(FORGET_EVERY_MS, undefined, { ref: false });
      }
    }
  }
}
