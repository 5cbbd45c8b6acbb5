import { newToken, type Held, type Lease } from './lock-lease.ts';
import type { LockRequest } from './lock-request.ts';
import { type LeaseClaim, SILENCE_MS, type Turn } from './lock-store.interface.ts';

type State = 'waiting' | 'granted' | 'gone';

/** One caller that wants one lease. Every question it asks carries the same token, so none can lose to another. */
export class LockWaiter {
  readonly claim: LeaseClaim;
  readonly outcome: Promise<Lease | Held>;
  readonly retryDelayMs: number;
  /** Nobody will tell when the lease is given back. */
  readonly isUnattended: boolean;
  /** Whether somebody is asking for it, again and again until it is settled. */
  isPursued = false;
  /** An answer was lost: it may hold the lease without knowing. */
  isUncertain = false;
  /** Questions on their way. */
  asking = 0;
  hasAsked = false;
  /** What the store said last. */
  held: Held | undefined;
  /** Callers behind it that the store knows of. */
  callersTold = 0;
  readonly #askedAt = performance.now();
  readonly #giveUpAt: number;
  readonly #signal: AbortSignal | undefined;
  #state: State = 'waiting';
  #resolve!: (outcome: Lease | Held) => void;
  #reject!: (error: unknown) => void;
  #deadline: NodeJS.Timeout | undefined;
  #endPause: (() => void) | undefined;
  #isWoken = false;

  /** @param onGiveUp called when the time is over, or the caller's signal has aborted */
  constructor(
    { token = newToken(), ttlMs, limit, waitMs, retryDelayMs, signal, isUnattended = false }: LockRequest,
    private readonly onGiveUp: (waiter: LockWaiter) => void,
  ) {
    this.claim = { token, ttlMs, limit };
    this.retryDelayMs = retryDelayMs;
    this.isUnattended = isUnattended;
    this.#giveUpAt = this.#askedAt + waitMs;
    this.#signal = signal;
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.#signal?.addEventListener('abort', this.#giveUp);
  }

  get isSettled(): boolean {
    return this.#state !== 'waiting';
  }

  /** It went without the lease. */
  get isGone(): boolean {
    return this.#state === 'gone';
  }

  get leftMs(): number {
    return this.#giveUpAt - performance.now();
  }

  /** Its place in the store's queue, with everybody who stands behind it here; undefined when it does not wait. */
  turn(callers: number): Turn | undefined {
    const { leftMs } = this;
    if (leftMs <= 0) return undefined;
    this.callersTold = callers;
    const askedMsAgo = Math.round(performance.now() - this.#askedAt);
    return { askedMsAgo, callers, keepMs: Math.ceil(Math.min(SILENCE_MS, leftMs)) };
  }

  /** Resolves after `ms`, or when it is woken or settled; at once if it was woken since the last pause. */
  async pause(ms: number): Promise<void> {
    if (!this.#isWoken && !this.isSettled) {
      this.#deadline ??= setTimeout(this.#giveUp, Math.max(1, this.leftMs));
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, ms);
        this.#endPause = () => {
          clearTimeout(timer);
          resolve();
        };
      });
      this.#endPause = undefined;
    }
    this.#isWoken = false;
  }

  wake(): void {
    this.#isWoken = true;
    this.#endPause?.();
  }

  grant(lease: Lease): void {
    this.#settle('granted', () => this.#resolve(lease));
  }

  refuse(held: Held): void {
    this.#settle('gone', () => this.#resolve(held));
  }

  fail(error: unknown): void {
    this.#settle('gone', () => this.#reject(error));
  }

  /** The reason to reject with, when the caller does not want it any more. */
  get abortion(): { readonly reason: unknown } | undefined {
    return this.#signal?.aborted === true ? { reason: this.#signal.reason } : undefined;
  }

  readonly #giveUp = (): void => {
    if (!this.isSettled) this.onGiveUp(this);
  };

  #settle(state: State, tell: () => void): void {
    if (this.isSettled) return;
    this.#state = state;
    clearTimeout(this.#deadline);
    this.#signal?.removeEventListener('abort', this.#giveUp);
    this.#endPause?.();
    tell();
  }
}
