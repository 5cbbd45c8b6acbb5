import { nth } from '../common/nth.ts';
import { isStoreFailure, StoreUnavailableError } from '../common/errors.ts';
import { KnownSubjects, type Seen } from './known-subjects.ts';
import { LocalShare } from './local-share.ts';
import type { Charge, Quota, QuotaState, Restoration, SharedRateLimitStore } from './rate-limit-store.interface.ts';

/** What came of one request: the state of each quota, and who said so. */
export interface Verdict {
  readonly states: readonly QuotaState[];
  /** The store; this process, because the store had refused the same before; or this process, without the store. */
  readonly by: 'store' | 'memory' | 'outage';
}

export interface LimitsRecovery {
  readonly hasLostData: boolean;
  /** Whether a count is kept on what is recovering. */
  readonly concerns: (quota: Quota, subject: string) => boolean;
}

/**
 * Limits on a server that may be away: decides what its failure means, and makes good afterwards what it has missed.
 */
export class SharedLimits {
  readonly #known = new KnownSubjects();
  readonly #share: LocalShare;

  /**
   * @param instances processes that share the limits
   * @param announce tells the other processes to `forget`; it is not waited for and must not throw
   */
  constructor(
    private readonly store: SharedRateLimitStore,
    instances: number,
    private readonly announce: (quotaId: string, subject: string) => void = () => undefined,
  ) {
    this.#share = new LocalShare(this.#known, instances);
  }

  /** @throws StoreUnavailableError without the server, where a quota says so */
  spend(charge: Charge, subjects: readonly string[]): Verdict | Promise<Verdict> {
    const known = this.#known.of(charge, subjects);
    const states = this.#known.refusal(charge, known);
    if (states !== undefined && this.#mayKnow(charge, subjects)) return { states, by: 'memory' };
    return this.#ask('spend', charge, subjects, known);
  }

  /** @throws StoreUnavailableError as `spend` */
  look(charge: Charge, subjects: readonly string[]): Promise<Verdict> {
    return this.#ask('look', charge, subjects, this.#known.of(charge, subjects));
  }

  async refund(quota: Quota, subject: string, units: number): Promise<void> {
    this.#known.forget(quota, subject);
    this.#share.refund(quota, subject, units);
    await this.store.refund(quota, subject, units);
    this.#changed(quota, subject);
  }

  async block(quota: Quota, subject: string, ms: number): Promise<void> {
    this.#share.block(quota, subject, ms);
    await this.store.block(quota, subject, ms);
    this.#changed(quota, subject);
  }

  async reset(quota: Quota, subject: string): Promise<void> {
    this.#known.forget(quota, subject);
    this.#share.reset(quota, subject);
    await this.store.reset(quota, subject);
    this.#changed(quota, subject);
  }

  /** Another process has given something back, or blocked the subject for another time. */
  forget(quotaId: string, subject: string): void {
    this.#known.forget({ id: quotaId }, subject);
  }

  /**
   * Tells the server what was admitted without it, and, where it may have lost its data, what it used to know.
   * @throws StoreUnavailableError, OutcomeUnknownError: what it was not told stays here
   */
  async recover({ hasLostData, concerns }: LimitsRecovery): Promise<void> {
    const debts = this.#share.debts().filter(({ quota, subject }) => concerns(quota, subject));
    const now = performance.now();
    const seen = hasLostData ? [...this.#known.counted()] : [];
    const known = seen.filter(({ quota, subject }) => concerns(quota, subject));
    await this.#restore([
      ...known.map(({ quota, subject, used, seenAt }) => ({ quota, subject, known: used, knownAgoMs: now - seenAt, added: 0 })), // prettier-ignore
      ...debts,
    ]);
  }

  /** What was learned while the server was being told is not true any more either. */
  #changed(quota: Quota, subject: string): void {
    this.#known.forget(quota, subject);
    this.announce(quota.id, subject);
  }

  /** While the server is away, each quota has its own word for what that means. */
  #mayKnow({ quotas }: Charge, subjects: readonly string[]): boolean {
    return this.store.isAvailable(quotas, subjects) || quotas.every(({ onOutage }) => onOutage === 'local');
  }

  #ask(act: 'spend' | 'look', charge: Charge, subjects: readonly string[], known: readonly Seen[]): Promise<Verdict> {
    const asked = this.#share.hasDebts ? this.#repayAndAsk(act, charge, subjects) : this.store[act](charge, subjects);
    return Promise.resolve(asked).then(
      (states) => {
        this.#known.learn(charge, known, states);
        return { states, by: 'store' };
      },
      (error: unknown) => {
        if (!isStoreFailure(error)) throw error;
        return { states: this.#decideAlone(act, charge, subjects), by: 'outage' };
      },
    );
  }

  async #repayAndAsk(act: 'spend' | 'look', charge: Charge, subjects: readonly string[]) {
    await this.#restore(this.#share.debts(charge, subjects));
    return this.store[act](charge, subjects);
  }

  /** The strictest word of all quotas counts. */
  #decideAlone(act: 'spend' | 'look', charge: Charge, subjects: readonly string[]): readonly QuotaState[] {
    const { quotas } = charge;
    // Also when the outcome is unknown: units that were spent in vain come back, and the call was not admitted.
    if (quotas.some(({ onOutage }) => onOutage === 'reject')) {
      throw new StoreUnavailableError('rateLimit', 'the server does not answer');
    }
    const counted = quotas.flatMap(({ onOutage }, at) => (onOutage === 'local' ? [at] : []));
    const states = this.#share[act](
      { ...charge, quotas: counted.map((at) => nth(quotas, at)), costs: counted.map((at) => nth(charge.costs, at)) },
      counted.map((at) => nth(subjects, at)),
    );
    return quotas.map((_, at) => states[counted.indexOf(at)] ?? ADMITTED);
  }

  async #restore(restorations: readonly Restoration[]): Promise<void> {
    if (restorations.length === 0) return;
    await this.store.restore(restorations);
    this.#share.settle(restorations);
  }
}

const ADMITTED: QuotaState = { used: 0, resetMs: 0, retryAfterMs: 0, block: 'none' };
