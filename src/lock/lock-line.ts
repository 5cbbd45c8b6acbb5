import { isOutcomeUnknownError, OutcomeUnknownError, StoreUnavailableError } from '../common/errors.ts';
import { type Held, type Lease, leaseEnd } from './lock-lease.ts';
import type { LockRequest } from './lock-request.ts';
import type { LockOutcome, LockStore } from './lock-store.interface.ts';
import { LockWaiter } from './lock-waiter.ts';

/** What a line needs of those around it. */
export interface LineHost {
  readonly store: LockStore;
  /** Whether hand-offs are heard. */
  readonly isListening: boolean;
  /** Sees to it that hand-offs are heard; who waits by then looks once more. */
  listen(): Promise<void>;
  /** Words for this token go to this waiter from now on. */
  enter(waiter: LockWaiter): void;
  leave(waiter: LockWaiter): void;
  /** Nobody waits in it or holds anything. */
  retire(line: LockLine): void;
}

/** Waiters are told when it is their turn; they look for themselves this often in case the word was lost. */
const LOOK_AGAIN_MS = 1_000;
/** Questions of one line that are asked at a time, where several may hold the key. */
const MAX_ASKING = 64;
const MAX_WAITERS = 10_000;

/**
 * Those in this process who want one key, first come, first served. Only the first of them asks the store and has a
 * place in its queue, or as many as could hold the key together. While the key is held in this process nobody asks:
 * who gives it back asks for the next one in the same trip.
 */
export class LockLine {
  readonly #waiters: LockWaiter[] = [];
  /** Leases held in this process. */
  readonly #leases = new Map<string, Lease>();

  constructor(
    readonly key: string,
    private readonly host: LineHost,
  ) {}

  /** Callers here that the store does not know of. */
  get untold(): number {
    return this.#waiters.reduce((sum, { callersTold }) => sum - callersTold, this.#waiters.length);
  }

  /** @throws StoreUnavailableError when there are too many */
  acquire(request: LockRequest): Promise<Lease | Held> {
    if (this.#waiters.length >= MAX_WAITERS) {
      throw new StoreUnavailableError('lock.acquire', `${MAX_WAITERS} callers wait for this lock in this process`);
    }
    const waiter = new LockWaiter(request, this.#giveUp);
    if (request.waitMs > 0) {
      this.#waiters.push(waiter);
      this.#advance();
    } else {
      void this.#pursue(waiter);
    }
    return waiter.outcome;
  }

  /** False when the token held nothing. @throws StoreUnavailableError, OutcomeUnknownError */
  async release(token: string): Promise<boolean> {
    this.#leases.delete(token);
    const [next] = this.#waiters;
    if (next !== undefined) return this.#handOver(token, next);
    this.#retireIfEmpty();
    return this.host.store.release(this.key, token);
  }

  /** A lease of this process has ended by itself, or was taken away. */
  forget(token: string): void {
    if (!this.#leases.delete(token)) return;
    for (const waiter of this.#waiters) if (waiter.isPursued) waiter.wake();
    this.#retireIfEmpty();
  }

  failAll(error: unknown): void {
    for (const waiter of this.#waiters.splice(0)) this.#dismiss(waiter, () => waiter.fail(error));
  }

  /** Lets the first in line ask, and with it those that could hold the key together with it. */
  #advance(): void {
    let room = MAX_ASKING;
    for (const [index, waiter] of this.#waiters.entries()) {
      room = Math.min(room, waiter.claim.limit);
      if (index > 0 && index >= room) return;
      if (!waiter.isPursued) void this.#pursue(waiter);
    }
  }

  async #pursue(waiter: LockWaiter): Promise<void> {
    waiter.isPursued = true;
    if (waiter.leftMs > 0) this.host.enter(waiter);
    if (this.#isHeldHere(waiter)) {
      // Its place in the queue will be taken by whoever gives the key back here.
      void this.host.listen();
      await waiter.pause(jittered(LOOK_AGAIN_MS));
    }
    while (!waiter.isSettled) {
      const pauseMs = await this.#look(waiter);
      if (pauseMs > 0) await waiter.pause(pauseMs);
    }
  }

  /** Whether asking is of no use, because those who hold the key here do not share it. */
  #isHeldHere({ claim, leftMs }: LockWaiter): boolean {
    if (leftMs <= 0 || this.#leases.size === 0) return false;
    let { limit } = claim;
    for (const lease of this.#leases.values()) limit = Math.min(limit, lease.limit);
    return this.#leases.size >= limit;
  }

  /** Asks once; answers with when to ask again. */
  async #look(waiter: LockWaiter): Promise<number> {
    const askedAt = performance.now();
    try {
      const { store } = this.host;
      await this.#question(waiter, () => store.acquire(this.key, waiter.claim, waiter.turn(this.#callersOf(waiter))));
    } catch (error) {
      return this.#pauseAfter(error, waiter, performance.now() - askedAt);
    }
    if (waiter.isSettled) return 0;
    if (waiter.leftMs <= 0) {
      this.#giveUp(waiter);
      return 0;
    }
    if (!this.host.isListening) void this.host.listen();
    return Math.max(1, Math.min(jittered(LOOK_AGAIN_MS), waiter.held?.remainingMs ?? LOOK_AGAIN_MS));
  }

  /**
   * When an answer was lost, nobody knows whether the lease is ours. Asking again settles it, and is done while there
   * is time for another question of that length; after that the lease is given back and the failure is the caller's.
   */
  #pauseAfter(error: unknown, waiter: LockWaiter, tookMs: number): number {
    waiter.isUncertain ||= isOutcomeUnknownError(error);
    if (waiter.isUncertain && waiter.leftMs > tookMs && !waiter.isSettled) return jittered(waiter.retryDelayMs);
    this.#dismiss(waiter, () => waiter.fail(error));
    return 0;
  }

  /** Asks, and lets the waiter know; what it gets after it has gone is given back. */
  async #question(waiter: LockWaiter, ask: () => LockOutcome | Promise<LockOutcome>): Promise<void> {
    const askedAt = performance.now();
    waiter.asking += 1;
    waiter.hasAsked = true;
    try {
      this.#learn(waiter, askedAt, await ask());
    } finally {
      waiter.asking -= 1;
      if (waiter.isGone && waiter.asking === 0) void this.#giveBack(waiter);
    }
  }

  #learn(waiter: LockWaiter, askedAt: number, outcome: LockOutcome): void {
    if (waiter.isSettled) return;
    if (outcome.kind === 'held') {
      waiter.held = outcome;
      return;
    }
    const { token, ttlMs, limit } = waiter.claim;
    const endsAt = leaseEnd(askedAt, ttlMs);
    if (performance.now() >= endsAt) {
      throw new OutcomeUnknownError('lock.acquire', 'the lease had ended when the answer came');
    }
    const lease: Lease = { kind: 'acquired', key: this.key, token, ttlMs, limit, fence: outcome.fence, endsAt };
    if (!waiter.isUnattended) this.#leases.set(token, lease);
    waiter.grant(lease);
    this.#remove(waiter);
  }

  async #handOver(token: string, next: LockWaiter): Promise<boolean> {
    let wasHeld = false;
    try {
      await this.#question(next, async () => {
        const turn = next.turn(this.#callersOf(next)) ?? LAST_TURN;
        const answer = await this.host.store.handOver(this.key, token, next.claim, turn);
        wasHeld = answer.wasHeld;
        return answer.next;
      });
    } catch (error) {
      next.wake();
      throw error;
    }
    return wasHeld;
  }

  /** All who stand here; those who ask for themselves as well are counted once. */
  #callersOf(waiter: LockWaiter): number {
    return Math.max(1, waiter.callersTold + this.untold);
  }

  readonly #giveUp = (waiter: LockWaiter): void => {
    const { abortion } = waiter;
    if (abortion !== undefined) this.#dismiss(waiter, () => waiter.fail(abortion.reason));
    else this.#dismiss(waiter, () => waiter.refuse(waiter.held ?? this.#heldHere()));
  };

  #dismiss(waiter: LockWaiter, settle: () => void): void {
    if (waiter.isSettled) return;
    settle();
    this.#remove(waiter);
    if (waiter.hasAsked && waiter.asking === 0 && (waiter.isUncertain || waiter.callersTold > 0)) {
      void this.#giveBack(waiter);
    }
  }

  #heldHere(): Held {
    const ends = [...this.#leases.values()].map(({ endsAt }) => endsAt - performance.now());
    return { kind: 'held', remainingMs: Math.max(0, Math.ceil(Math.max(0, ...ends))) };
  }

  /** Nobody waits for this: whoever asked has waited long enough. */
  async #giveBack(waiter: LockWaiter): Promise<void> {
    try {
      await this.host.store.release(this.key, waiter.claim.token);
    } catch {
      // It ends by itself.
    }
  }

  #remove(waiter: LockWaiter): void {
    this.host.leave(waiter);
    const at = this.#waiters.indexOf(waiter);
    if (at !== -1) this.#waiters.splice(at, 1);
    this.#advance();
    this.#retireIfEmpty();
  }

  #retireIfEmpty(): void {
    if (this.#waiters.length === 0 && this.#leases.size === 0) this.host.retire(this);
  }
}

const LAST_TURN = { askedMsAgo: 0, callers: 1, keepMs: 1 };

/** Between half of it and all, at random, so that waiters do not ask in step. */
const jittered = (ms: number): number => ms * (0.5 + Math.random() / 2);
