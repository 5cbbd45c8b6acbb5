import { newToken, type Held, type Lease } from './lock-lease.ts';
import type { LockRequest } from './lock-request.ts';
import { type LeaseClaim, SILENCE_MS, type Turn } from './lock-store.interface.ts';

type State = 'waiting' | 'granted' | 'gone';

/** The line in which somebody waits. */
export interface WaiterHost {
  /** The time is over, or the caller's signal has aborted. */
  giveUp(waiter: LockWaiter): void;
}

/** A lease that begins when another one of this process is given back. */
interface NextLease {
  readonly lease: Lease;
  /** The token of the other one. */
  readonly after: string | undefined;
  readonly askedAt: number;
}

/** A lease that follows is as good as an answer of the store that came so long ago; what is older is asked for again. */
const FRESH_MS = 100;

/** One caller that wants one lease. Every question it asks carries the same token, so none can lose to another. */
export class LockWaiter {
  readonly claim: LeaseClaim;
  readonly outcome: Promise<Lease | Held>;
  readonly retryDelayMs: number;
  /** Whether there is any time to wait in. */
  readonly mayWait: boolean;
  /** Nobody will tell when the lease is given back. */
  readonly isUnattended: boolean;
  /** Its fence may be raised to that of other resources, once it is held. */
  readonly isOfSeveral: boolean;
  /** Whether somebody is asking for it, again and again until it is settled. */
  isPursued = false;
  /** An answer was lost: it may hold the lease without knowing. */
  isUncertain = false;
  hasAsked = false;
  /** What the store said last. */
  held: Held | undefined;
  next: NextLease | undefined;
  /** Callers behind it that the store knows of. */
  callersTold = 0;
  readonly #askedAt = performance.now();
  readonly #giveUpAt: number;
  readonly #host: WaiterHost;
  readonly #signal: AbortSignal | undefined;
  /** Questions on their way. */
  #asking = 0;
  #state: State = 'waiting';
  #resolve!: (outcome: Lease | Held) => void;
  #reject!: (error: unknown) => void;
  #deadline: NodeJS.Timeout | undefined;
  #endPause: (() => void) | undefined;
  #isWoken = false;

  constructor(request: LockRequest, host: WaiterHost) {
    const { token, ttlMs, limit, waitMs, retryDelayMs, signal, isUnattended = false } = request;
    this.claim = { token: token ?? newToken(), ttlMs, limit };
    this.isOfSeveral = token !== undefined;
    this.isUnattended = isUnattended;
    this.retryDelayMs = retryDelayMs;
    this.mayWait = waitMs > 0;
    this.#giveUpAt = this.#askedAt + waitMs;
    this.#host = host;
    this.#signal = signal;
    this.outcome = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    signal?.addEventListener('abort', this);
  }

  get isSettled(): boolean {
    return this.#state !== 'waiting';
  }

  /** It went without the lease. */
  get isGone(): boolean {
    return this.#state === 'gone';
  }

  get isAsking(): boolean {
    return this.#asking > 0;
  }

  get isNext(): boolean {
    return this.next !== undefined;
  }

  get leftMs(): number {
    return this.#giveUpAt - performance.now();
  }

  /** A question is on its way. */
  ask(): void {
    this.#asking += 1;
    this.hasAsked = true;
  }

  answered(): void {
    this.#asking -= 1;
  }

  /**
   * Its place in the store's queue, with everybody who stands behind it here; undefined when it does not wait.
   * @param after the token of a lease that it may follow
   */
  turn(now: number, callers: number, after?: string): Turn | undefined {
    const leftMs = this.#giveUpAt - now;
    if (leftMs <= 0) return undefined;
    this.callersTold = callers;
    const askedMsAgo = Math.round(now - this.#askedAt);
    const turn = { askedMsAgo, callers, keepMs: Math.ceil(Math.min(SILENCE_MS, leftMs)) };
    return after === undefined ? turn : { ...turn, after };
  }

  /** The lease that follows this one, if the store has said so just now. */
  takeNext(token: string): Lease | undefined {
    if (this.next?.after !== token || this.isSettled) return undefined;
    const { lease, askedAt } = this.next;
    return performance.now() - askedAt <= Math.min(FRESH_MS, lease.ttlMs / 4) ? lease : undefined;
  }

  /** Resolves after `ms`, or when it is woken or settled; at once if it was woken since the last pause. */
  async pause(ms: number): Promise<void> {
    if (!this.#isWoken && !this.isSettled) {
      this.#deadline ??= setTimeout(() => this.handleEvent(), Math.max(1, this.leftMs));
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
    if (this.#settle('granted')) this.#resolve(lease);
  }

  refuse(held: Held): void {
    if (this.#settle('gone')) this.#resolve(held);
  }

  fail(error: unknown): void {
    if (this.#settle('gone')) this.#reject(error);
  }

  /** The reason to reject with, when the caller does not want it any more. */
  get abortion(): { readonly reason: unknown } | undefined {
    return this.#signal?.aborted === true ? { reason: this.#signal.reason } : undefined;
  }

  /** The signal has aborted, or the time is over: the waiter itself is the listener, as most are never called. */
  handleEvent(): void {
    if (!this.isSettled) this.#host.giveUp(this);
  }

  #settle(state: State): boolean {
    if (this.isSettled) return false;
    this.#state = state;
    clearTimeout(this.#deadline);
    this.#signal?.removeEventListener('abort', this);
    this.#endPause?.();
    return true;
  }
}
