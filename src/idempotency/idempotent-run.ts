import type { Awaitable, Claim, IdempotencyStore } from './idempotency-store.interface.ts';

export interface IdempotentRunSetup {
  /** Where it was claimed. */
  readonly store: IdempotencyStore;
  readonly name: string;
  readonly claim: Claim;
  /** Called once, when nothing is left to do. */
  readonly onEnd: (end: RunEnd) => void;
}

/**
 * - `kept`: a retry gets the answer
 * - `released`: a retry runs
 * - `lost`: the lease had ended, and somebody else has run or runs
 * - `unknown`: the server could not be told; the lease ends by itself
 */
export type RunEnd = 'kept' | 'released' | 'lost' | 'unknown';

/** Parts of the lease after which it is renewed, and after which a renewal without an answer is repeated. */
const RENEWAL_PART = 1 / 3;
const RETRY_PART = 1 / 9;
/** How often, and for how long, a server that is away is tried with the answer of what has run. */
const KEEP_EVERY_MS = 1_000;
const KEEP_FOR_MS = 600_000;

/** One run of a handler, from its claim to its answer; it renews its lease in between. */
export class IdempotentRun {
  /** Resolves when nothing is left to do. */
  readonly ended: Promise<void>;
  #resolveEnded!: () => void;
  /** One at a time: for the renewal, or for telling the server once more. */
  #timer: NodeJS.Timeout | undefined;
  /** What the server has not heard of yet. */
  #untold: { readonly answer: Buffer; readonly ttlMs: number; readonly giveUpAt: number } | undefined;
  #isEnding = false;
  #isOver = false;

  constructor(private readonly setup: IdempotentRunSetup) {
    this.ended = new Promise((resolve) => (this.#resolveEnded = resolve));
    this.#renewAfter(RENEWAL_PART);
  }

  /** Whether it was claimed in this store, under a name that is meant. */
  isIn(store: IdempotencyStore, isMeant: (name: string) => boolean): boolean {
    return this.setup.store === store && isMeant(this.setup.name);
  }

  /**
   * Ends the run with its answer: when this resolves, a retry gets it. A server that is away is told later, behind the
   * caller's back. Never rejects.
   */
  async keep(answer: Buffer, ttlMs: number): Promise<void> {
    this.#stopRenewing();
    this.#untold = { answer, ttlMs, giveUpAt: performance.now() + KEEP_FOR_MS };
    await this.#tell();
  }

  /** Ends the run without an answer: a retry runs. Never rejects. */
  async release(): Promise<void> {
    this.#stopRenewing();
    const { store, name, claim } = this.setup;
    const wasOurs = await attempt(() => store.release(name, claim.token));
    this.#end(wasOurs === undefined ? 'unknown' : wasOurs ? 'released' : 'lost');
  }

  /**
   * The server answers again, perhaps without what it knew: it is told at once. Never rejects.
   * @param store the same store, through a door that is open already
   */
  async verify(store: IdempotencyStore): Promise<void> {
    const { name, claim } = this.setup;
    if (this.#untold !== undefined) await this.#complete(store);
    else if (!this.#isEnding) await attempt(() => store.renew(name, claim));
  }

  /** The process ends: the lease ends by itself. */
  abandon(): void {
    this.#stopRenewing();
    this.#end('unknown');
  }

  async #tell(): Promise<void> {
    await this.#complete(this.setup.store);
    if (this.#untold === undefined || this.#isOver) return;
    if (performance.now() >= this.#untold.giveUpAt) this.#end('unknown');
    else this.#after(KEEP_EVERY_MS, () => this.#tell());
  }

  async #complete(store: IdempotencyStore): Promise<void> {
    if (this.#untold === undefined) return;
    const { name, claim } = this.setup;
    const { answer, ttlMs } = this.#untold;
    const isKept = await attempt(() => store.complete(name, claim, answer, ttlMs));
    if (isKept === undefined) return;
    this.#untold = undefined;
    this.#end(isKept ? 'kept' : 'lost');
  }

  /** @param part of the lease, until the next renewal */
  #renewAfter(part: number): void {
    this.#after(this.setup.claim.leaseMs * part, () => this.#renew());
  }

  async #renew(): Promise<void> {
    const { store, name, claim } = this.setup;
    const isOurs = await attempt(() => store.renew(name, claim));
    if (this.#isEnding || isOurs === false) return;
    this.#renewAfter(isOurs === undefined ? RETRY_PART : RENEWAL_PART);
  }

  #stopRenewing(): void {
    this.#isEnding = true;
    clearTimeout(this.#timer);
  }

  #after(ms: number, act: () => Promise<void>): void {
    this.#timer = setTimeout(() => void act(), ms).unref();
  }

  #end(end: RunEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    this.setup.onEnd(end);
    this.#resolveEnded();
  }
}

/** Undefined when the store could not tell. */
async function attempt(act: () => Awaitable<boolean>): Promise<boolean | undefined> {
  try {
    return await act();
  } catch {
    return undefined;
  }
}
