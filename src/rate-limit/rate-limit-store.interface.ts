/** What stores decide by: a policy for one tier, in numbers. */
export interface Quota {
  /** Names the count, beside the subject: quotas of one id and subject count together. */
  readonly id: string;
  readonly algorithm: Algorithm;
  /** Units that may be spent at once. */
  readonly capacity: number;
  readonly windowMs: number;
  /** What the algorithm measures time in, whole µs: a bucket, the window, or the time after which one unit is back. */
  readonly stepUs: number;
  /** Counted and reported, never the reason of a refusal. */
  readonly isShadow: boolean;
  readonly escalation: Escalation | undefined;
  /** What to do while the server is away; no store asks for it. */
  readonly onOutage: OnOutage;
}

/** Without the server: count in this process, refuse with 503, or admit. */
export type OnOutage = 'local' | 'reject' | 'allow';

/**
 * - `sliding`: no window, wherever it begins, holds more than the capacity
 * - `fixed`: windows begin at multiples of their length since the epoch; around their border up to twice the capacity
 * - `gcra`: a bucket of `capacity` that fills up evenly (generic cell rate algorithm, ITU-T I.371)
 */
export type Algorithm = 'sliding' | 'fixed' | 'gcra';

/** After how many refusals a subject is blocked, and for how long. */
export interface Escalation {
  readonly after: number;
  readonly withinMs: number;
  readonly blockMs: number;
  /** Each further block is twice as long as the last one, up to this. */
  readonly maxMs: number;
}

/** What one request is measured by: all its quotas admit it, or none is charged. */
export interface Charge {
  readonly quotas: readonly Quota[];
  /** What the request costs each of them, at most its capacity. */
  readonly costs: readonly number[];
  /** A refused request is charged to those quotas that had room for it. */
  readonly consumesOnReject: boolean;
}

/** Where a subject stands with one quota after a request was judged. */
export interface QuotaState {
  /** Units spent that still count. */
  readonly used: number;
  /** Until the whole quota is there again if nobody calls meanwhile. */
  readonly resetMs: number;
  /** Until this quota would admit the same request if nobody calls meanwhile; 0: it does now. */
  readonly retryAfterMs: number;
  /** Whether the subject is blocked, whatever it has spent; `imposed`: by this very request. */
  readonly block: 'none' | 'blocked' | 'imposed';
}

/** What was seen of a count that the server may have lost, and what was admitted while it could not be asked. */
export interface Restoration {
  readonly quota: Quota;
  readonly subject: string;
  /** The server knew of as many units, so long ago. */
  readonly known: number;
  readonly knownAgoMs: number;
  /** Units spent since then that the server never heard of. */
  readonly added: number;
}

/**
 * Counts what subjects have spent, by the store's clock and over all processes that share the store.
 *
 * Any method may reject with StoreUnavailableError or OutcomeUnknownError.
 */
export interface RateLimitStore {
  /** One state per quota; `subjects` are in the order of the quotas. */
  spend(charge: Charge, subjects: readonly string[]): Awaitable<readonly QuotaState[]>;
  /** What `spend` would answer; spends nothing, and is no violation. */
  look(charge: Charge, subjects: readonly string[]): Awaitable<readonly QuotaState[]>;
  /** Gives units back, the latest first, and at most what was spent. */
  refund(quota: Quota, subject: string, units: number): Awaitable<void>;
  /** Refuses the subject from now on for so long. */
  block(quota: Quota, subject: string, ms: number): Awaitable<void>;
  /** Forgets what was spent, violations and blocks. */
  reset(quota: Quota, subject: string): Awaitable<void>;
}

/** A store whose server may lose its data, or be away while this process goes on. */
export interface SharedRateLimitStore extends RateLimitStore {
  /** Whether the server would be asked now. */
  isAvailable(quotas: readonly Quota[], subjects: readonly string[]): boolean;
  /** Makes good what the server does not know. It may be told to do so before it is open to others. */
  restore(restorations: readonly Restoration[]): Promise<void>;
}

/** What a store in this process answers at once and a server later. */
export type Awaitable<T> = T | Promise<T>;
