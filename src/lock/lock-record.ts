import {
  CLAIM_MS,
  type HandOver,
  type LeaseClaim,
  type LockOutcome,
  SLACK_MS,
  type Turn,
} from './lock-store.interface.ts';

interface Holder {
  readonly token: string;
  readonly limit: number;
  readonly endsAt: number;
  readonly fence: number;
  /** The holder it follows: while that one is there it waits. */
  readonly after?: string | undefined;
  /** Who wait for it to begin, itself included. */
  readonly callers?: number;
}

interface Place {
  readonly token: string;
  readonly limit: number;
  readonly askedAt: number;
  readonly keptUntil: number;
  readonly callers: number;
}

/** What a record needs of its store. */
export interface RecordHost {
  /** A fence greater than all before. */
  nextFence(atLeast: number): number;
  /** A fence that came from elsewhere: all later ones have to be greater. */
  sawFence(fence: number): void;
  /** A waiting token has become the holder. */
  handedTo(token: string): void;
}

/** Who holds one key and who waits for it: the algorithm of `lock.lua.ts`, in this process. */
export class LockRecord {
  #holders: Holder[] = [];
  #queue: Place[] = [];

  constructor(private readonly host: RecordHost) {}

  acquire(now: number, claim: LeaseClaim, turn?: Turn, slackMs = 0): LockOutcome {
    this.#forgetEnded(now);
    const { token, ttlMs, atLeast = 0 } = claim;
    const own = this.#holders.find((holder) => holder.token === token);
    if (own === undefined)
      return turn === undefined ? this.#tryNow(now, claim) : this.#queueUp(now, claim, turn, slackMs);
    if (own.fence < atLeast) this.host.sawFence(atLeast);
    const fence = Math.max(own.fence, atLeast);
    this.#replace({ ...own, fence, endsAt: Math.max(own.endsAt, now + ttlMs) });
    return { kind: this.#isNext(own) ? 'next' : 'acquired', fence };
  }

  extend(now: number, token: string, ttlMs: number): boolean {
    this.#forgetEnded(now);
    const own = this.#holders.find((holder) => holder.token === token);
    if (own === undefined) return false;
    this.#replace({ ...own, endsAt: Math.max(own.endsAt, now + ttlMs) });
    return true;
  }

  release(now: number, token: string): boolean {
    const wasHeld = this.#remove(now, token);
    this.#serve(now);
    return wasHeld;
  }

  handOver(now: number, token: string, claim: LeaseClaim, turn: Turn): HandOver {
    const wasHeld = this.#remove(now, token);
    return { wasHeld, next: this.acquire(now, claim, turn, SLACK_MS) };
  }

  forceRelease(now: number): boolean {
    const wasHeld = this.holders(now).length > 0;
    this.#holders = [];
    this.#serve(now);
    return wasHeld;
  }

  holders(now: number): readonly Holder[] {
    this.#forgetEnded(now);
    return this.#holders;
  }

  /** The one whose lease runs, of several the last. */
  runs(now: number): Holder | undefined {
    return this.holders(now).findLast((holder) => !this.#isNext(holder));
  }

  /** Callers that wait. */
  get waiters(): number {
    const next = this.#holders.find((holder) => this.#isNext(holder))?.callers ?? 0;
    return this.#queue.reduce((sum, { callers }) => sum + callers, next);
  }

  isIdle(now: number): boolean {
    return this.holders(now).length === 0 && this.#queue.length === 0;
  }

  /** How long those in the way may still hold their leases. */
  remainingMs(now: number, limit: number): number {
    const left = this.#holders.map(({ endsAt }) => Math.ceil(endsAt - now));
    return limit === 1 ? Math.max(0, ...left) : Math.max(0, Math.min(...left));
  }

  #tryNow(now: number, claim: LeaseClaim): LockOutcome {
    this.#serve(now);
    if (this.#queue.length > 0 || !this.#fits(claim.limit)) return this.#heldFrom(now, claim);
    return { kind: 'acquired', fence: this.#grant(now, claim) };
  }

  #queueUp(now: number, claim: LeaseClaim, turn: Turn, slackMs: number): LockOutcome {
    const { token, limit } = claim;
    this.#leave(token);
    const askedAt = now - turn.askedMsAgo;
    if (this.#mayFollow(turn.after, limit, askedAt)) {
      return { kind: 'next', fence: this.#grant(now, claim, { after: turn.after, callers: turn.callers }) };
    }
    const at = this.#placeFor(askedAt, slackMs);
    this.#queue.splice(at, 0, { token, limit, askedAt, keptUntil: now + turn.keepMs, callers: turn.callers });
    const fence = this.#serve(now, claim);
    return fence === undefined ? this.#heldFrom(now, claim) : { kind: 'acquired', fence };
  }

  #mayFollow(after: string | undefined, limit: number, askedAt: number): boolean {
    const [holder, other] = this.#holders;
    if (holder?.token !== after || other !== undefined || holder?.limit !== 1 || limit !== 1) return false;
    return askedAt <= (this.#queue[0]?.askedAt ?? Infinity) + SLACK_MS;
  }

  #isNext({ after }: Holder): boolean {
    return after !== undefined && this.#holders.some(({ token }) => token === after);
  }

  /** Those who asked first stand first; `slackMs` lets one in before others that asked a little earlier. */
  #placeFor(askedAt: number, slackMs: number): number {
    const [first] = this.#queue;
    if (askedAt <= (first?.askedAt ?? -Infinity) + slackMs) return 0;
    const later = this.#queue.findIndex((place) => place.askedAt > askedAt);
    return later === -1 ? this.#queue.length : later;
  }

  /** Hands the key to those in front for as long as they may hold it together; answers with the fence of `own`. */
  #serve(now: number, own?: LeaseClaim): number | undefined {
    let fence: number | undefined;
    for (let [first] = this.#queue; first !== undefined && this.#fits(first.limit); [first] = this.#queue) {
      this.#queue.shift();
      if (first.token === own?.token) {
        fence = this.#grant(now, own);
      } else {
        this.#grant(now, { token: first.token, limit: first.limit, ttlMs: CLAIM_MS });
        this.host.handedTo(first.token);
      }
    }
    return fence;
  }

  #grant(now: number, { token, limit, ttlMs, atLeast = 0 }: LeaseClaim, order: Pick<Holder, 'after' | 'callers'> = {}) {
    const fence = this.host.nextFence(atLeast);
    this.#holders.push({ token, limit, fence, endsAt: now + ttlMs, ...order });
    return fence;
  }

  /** Everybody's limit counts: one who wants to be alone is alone. */
  #fits(limit: number): boolean {
    return this.#holders.length < this.#holders.reduce((least, holder) => Math.min(least, holder.limit), limit);
  }

  #heldFrom(now: number, { limit }: LeaseClaim): LockOutcome {
    return { kind: 'held', remainingMs: this.remainingMs(now, limit) };
  }

  #forgetEnded(now: number): void {
    if (this.#holders.some(({ endsAt }) => endsAt <= now)) {
      this.#holders = this.#holders.filter(({ endsAt }) => endsAt > now);
    }
    if (this.#queue.some(({ keptUntil }) => keptUntil <= now)) {
      this.#queue = this.#queue.filter(({ keptUntil }) => keptUntil > now);
    }
  }

  #replace(own: Holder): void {
    this.#holders = this.#holders.map((holder) => (holder.token === own.token ? own : holder));
  }

  #remove(now: number, token: string): boolean {
    this.#forgetEnded(now);
    this.#leave(token);
    const others = this.#holders.filter((holder) => holder.token !== token);
    const wasHeld = others.length < this.#holders.length;
    this.#holders = others;
    return wasHeld;
  }

  #leave(token: string): void {
    this.#queue = this.#queue.filter((place) => place.token !== token);
  }
}
