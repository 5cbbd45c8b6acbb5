import { isOutcomeUnknownError, OutcomeUnknownError, StoreUnavailableError } from '../common/errors.ts';
import { type Held, type Lease, leaseEnd } from './lock-lease.ts';
import type { LockRequest } from './lock-request.ts';
import type { Awaitable, LockOutcome, LockStore, Turn } from './lock-store.interface.ts';
import { LockWaiter, type WaiterHost } from './lock-waiter.ts';

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
/** How often one looks whose turn it is as soon as a lease that was lost has ended for the store, too. */
const NEARLY_OVER_MS = 100;
/** Work that is over sooner is not worth a question of its own. */
const SHORT_WORK_MS = 1;
/** Questions of one line that are asked at a time, where several may hold the key. */
const MAX_ASKING = 64;
const MAX_WAITERS = 10_000;

/**
 * Those in this process who want one key, first come, first served. Only the first of them asks the store and has a
 * place in its queue, or as many as could hold the key together.
 *
 * While one of this process holds the key alone, the first in line asks for the lease that follows. When it has got
 * that one in time it begins as soon as the key is given back here, while the store is still being told; else who gives
 * the key back asks for it in the same trip. Either way one trip serves one caller.
 */
export class LockLine implements WaiterHost {
  readonly #waiters: LockWaiter[] = [];
  /** Leases held in this process; hardly ever more than one. */
  readonly #leases: Lease[] = [];

  constructor(
    readonly key: string,
    private readonly host: LineHost,
  ) {}

  /** Callers that wait for their turn. */
  get length(): number {
    return this.#waiters.length;
  }

  /** Callers here that the store does not know of. */
  get untold(): number {
    return this.#waiters.reduce((sum, { callersTold }) => sum - callersTold, this.#waiters.length);
  }

  /** @throws StoreUnavailableError when there are too many */
  acquire(request: LockRequest): Promise<Lease | Held> {
    if (this.#waiters.length >= MAX_WAITERS) {
      throw new StoreUnavailableError('lock.acquire', `${MAX_WAITERS} callers wait for this lock in this process`);
    }
    const waiter = new LockWaiter(request, this);
    if (request.waitMs > 0) {
      this.#waiters.push(waiter);
      this.#advance();
    } else {
      void this.#pursue(waiter);
    }
    return waiter.outcome;
  }

  /** False when the token held nothing. @throws StoreUnavailableError, OutcomeUnknownError */
  release(token: string): Awaitable<boolean> {
    const wasHeldHere = this.#drop(token);
    const [next, second] = this.#waiters;
    if (next === undefined) {
      this.#retireIfEmpty();
      return this.host.store.release(this.key, token);
    }
    const lease = wasHeldHere ? next.takeNext(token) : undefined;
    if (lease === undefined) return this.#handOver(token, next);
    // Asked for before the line moves on: the second one need not ask for itself then.
    const answer =
      second === undefined ? this.host.store.release(this.key, token) : this.#handOver(token, second, lease);
    this.#grant(next, lease);
    return answer;
  }

  /** A lease of this process has ended by itself, or was taken away. */
  forget(token: string): void {
    if (!this.#drop(token)) return;
    for (const waiter of this.#waiters) if (waiter.isPursued) waiter.wake();
    this.#retireIfEmpty();
  }

  failAll(error: unknown): void {
    for (const waiter of this.#waiters.splice(0)) this.#dismiss(waiter, () => waiter.fail(error));
  }

  giveUp(waiter: LockWaiter): void {
    const { abortion } = waiter;
    if (abortion !== undefined) this.#dismiss(waiter, () => waiter.fail(abortion.reason));
    else this.#dismiss(waiter, () => waiter.refuse(waiter.held ?? this.#heldHere()));
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

  /** Asks, and asks again after a pause, until it is settled. */
  async #pursue(waiter: LockWaiter): Promise<void> {
    waiter.isPursued = true;
    if (waiter.mayWait) this.host.enter(waiter);
    if (this.#isHeldHere(waiter)) await waiter.pause(this.#pauseBehindHolder(waiter));
    while (!waiter.isSettled) {
      const askedAt = performance.now();
      let pauseMs: number;
      waiter.ask();
      try {
        const after = this.#leaseBefore(waiter)?.token;
        const turn = waiter.turn(askedAt, this.#callersOf(waiter), after);
        this.#learn(waiter, askedAt, await this.host.store.acquire(this.key, waiter.claim, turn), after);
        pauseMs = this.#pauseAfterAnswer(waiter);
      } catch (error) {
        pauseMs = this.#pauseAfter(error, waiter, performance.now() - askedAt);
      } finally {
        this.#answered(waiter);
      }
      if (pauseMs > 0) await waiter.pause(pauseMs);
    }
  }

  /** Whether those who hold the key here do not share it. */
  #isHeldHere(waiter: LockWaiter): boolean {
    if (!waiter.mayWait || this.#leases.length === 0) return false;
    const limit = this.#leases.reduce((least, lease) => Math.min(least, lease.limit), waiter.claim.limit);
    return this.#leases.length >= limit;
  }

  /** Whoever gives the key back here asks for the next one. It could begin sooner, though, if it had asked before. */
  #pauseBehindHolder(waiter: LockWaiter): number {
    if (this.#leaseBefore(waiter) !== undefined && !waiter.isAsking) return SHORT_WORK_MS;
    void this.host.listen();
    return jittered(LOOK_AGAIN_MS);
  }

  /** The lease of this process that a waiter would like to follow: both want the key alone. */
  #leaseBefore({ claim }: LockWaiter): Lease | undefined {
    const [lease] = this.#leases;
    return this.#leases.length === 1 && lease?.limit === 1 && claim.limit === 1 && !lease.isOfSeveral
      ? lease
      : undefined;
  }

  #pauseAfterAnswer(waiter: LockWaiter): number {
    if (waiter.isSettled) return 0;
    if (waiter.leftMs <= 0) {
      this.giveUp(waiter);
      return 0;
    }
    if (waiter.isNext) {
      // When the one before it was lost, nobody will give that back: it is about to end.
      return jittered(this.#leases.length > 0 ? LOOK_AGAIN_MS : NEARLY_OVER_MS);
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

  /** What a waiter gets after it has gone is given back. */
  #answered(waiter: LockWaiter): void {
    waiter.answered();
    if (waiter.isGone && !waiter.isAsking) void this.#giveBack(waiter);
  }

  #learn(waiter: LockWaiter, askedAt: number, outcome: LockOutcome, after: string | undefined): void {
    if (waiter.isSettled) return;
    if (outcome.kind === 'held') {
      waiter.held = outcome;
      return;
    }
    const { isOfSeveral } = waiter;
    const { token, ttlMs, limit } = waiter.claim;
    const { fence } = outcome;
    const endsAt = leaseEnd(askedAt, ttlMs);
    const lease: Lease = { kind: 'acquired', key: this.key, token, ttlMs, limit, fence, endsAt, isOfSeveral };
    if (outcome.kind === 'next') {
      waiter.held = undefined;
      waiter.next = { lease, after, askedAt };
      return;
    }
    if (performance.now() >= endsAt) {
      throw new OutcomeUnknownError('lock.acquire', 'the lease had ended when the answer came');
    }
    this.#grant(waiter, lease);
  }

  #grant(waiter: LockWaiter, lease: Lease): void {
    if (!waiter.isUnattended) this.#leases.push(lease);
    waiter.grant(lease);
    this.#remove(waiter);
  }

  /** @param before what `next` is to follow, if that is not what is given back */
  async #handOver(token: string, next: LockWaiter, before?: Lease): Promise<boolean> {
    const askedAt = performance.now();
    const turn = next.turn(askedAt, this.#callersOf(next), before?.token) ?? LAST_TURN;
    next.ask();
    try {
      const answer = await this.host.store.handOver(this.key, token, next.claim, turn);
      this.#learn(next, askedAt, answer.next, before?.token);
      return answer.wasHeld;
    } catch (error) {
      next.wake();
      throw error;
    } finally {
      this.#answered(next);
    }
  }

  /** All who stand here; those who ask for themselves as well are counted once. */
  #callersOf(waiter: LockWaiter): number {
    return Math.max(1, waiter.callersTold + this.untold);
  }

  #dismiss(waiter: LockWaiter, settle: () => void): void {
    if (waiter.isSettled) return;
    settle();
    this.#remove(waiter);
    if (waiter.hasAsked && !waiter.isAsking && (waiter.isUncertain || waiter.callersTold > 0)) {
      void this.#giveBack(waiter);
    }
  }

  #heldHere(): Held {
    const ends = this.#leases.map(({ endsAt }) => endsAt - performance.now());
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

  #drop(token: string): boolean {
    const at = this.#leases.findIndex((lease) => lease.token === token);
    if (at !== -1) this.#leases.splice(at, 1);
    return at !== -1;
  }

  #remove(waiter: LockWaiter): void {
    this.host.leave(waiter);
    const at = this.#waiters.indexOf(waiter);
    if (at !== -1) this.#waiters.splice(at, 1);
    if (this.#waiters.length > 0) this.#advance();
    else this.#retireIfEmpty();
  }

  #retireIfEmpty(): void {
    if (this.#waiters.length === 0 && this.#leases.length === 0) this.host.retire(this);
  }
}

const LAST_TURN: Turn = { askedMsAgo: 0, callers: 1, keepMs: 1 };

/** Between half of it and all, at random, so that waiters do not ask in step. */
const jittered = (ms: number): number => ms * (0.5 + Math.random() / 2);
