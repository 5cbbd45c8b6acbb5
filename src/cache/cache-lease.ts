import { isOutcomeUnknownError, isStoreFailure } from '../common/errors.ts';
import { randomText } from '../common/random-text.ts';
import type { CacheEntry, EntryDraft, Found } from './cache-entry.ts';
import type { Acquisition, CacheStore } from './cache-store.interface.ts';
import type { CacheWaiters } from './cache-waiters.ts';
import { OrphanedLeases } from './orphaned-leases.ts';

/** How long a refresh lease lasts; a dead holder's key is taken over when it ends. */
export const LEASE_MS = 10_000;
/** Renewed this often, which is also how soon a holder hears that somebody else's DEL took its lease. */
const RENEW_EVERY_MS = 1_000;
/** Waiters are woken by a message; they look for themselves this often in case it was lost. */
const LOOK_AGAIN_MS = 1_000;

interface Grant {
  readonly key: string;
  readonly token: string;
  /** When it was granted, on the clock that dates invalidations. */
  readonly atMs: number;
  readonly corrupt: string | undefined;
}

/** The right to compute a key and to store what was computed, as long as nothing invalidates it meanwhile. */
export class Lease {
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly store: CacheStore,
    private readonly orphans: OrphanedLeases,
    private readonly grant: Grant,
  ) {}

  get atMs(): number {
    return this.grant.atMs;
  }

  /** Keeps the lease until it is filled or abandoned; `onLost` is told once when it is gone. */
  hold(onLost: () => void): void {
    const { key, token } = this.grant;
    this.timer = setInterval(() => {
      // A renewal that fails or is not heard of changes nothing: filling is what decides.
      this.store.renew(key, token, LEASE_MS).then(
        (isHeld) => {
          if (isHeld || this.timer === undefined) return;
          this.stop();
          onLost();
        },
        () => undefined,
      );
    }, RENEW_EVERY_MS);
    this.timer.unref();
  }

  /** Stores what was computed; false when the lease was lost, and nothing is stored then. */
  async fill(draft: EntryDraft): Promise<boolean> {
    const { key, token } = this.grant;
    this.stop();
    try {
      return await this.store.fill(key, token, draft);
    } catch (error) {
      this.orphans.add(key, token);
      throw error;
    }
  }

  /** Ends the lease without a value: now, or once the server can be asked. */
  async abandon(): Promise<void> {
    const { key, token, corrupt } = this.grant;
    this.stop();
    await this.store.abandon(key, token, corrupt).catch(() => this.orphans.add(key, token));
  }

  private stop(): void {
    clearInterval(this.timer);
    this.timer = undefined;
  }
}

/** Answer to a claim: the value that another process has computed, the lease, or neither. */
export type Claim<V> =
  | { readonly kind: 'found'; readonly value: V }
  | { readonly kind: 'leased'; readonly lease: Lease }
  /** The value is for this process only: compute, and hold it here. */
  | { readonly kind: 'local' }
  /** The server cannot be asked, or the caller does not want to wait: compute, and store nothing. */
  | { readonly kind: 'unleased' };

export interface ClaimRequest<V> {
  readonly key: string;
  /** The newest invalidation the caller has seen, 16 digits. */
  readonly newest: string;
  /** Version of a value that the caller has seen and does not accept. */
  readonly distrusted: string | undefined;
  /** The same, if nobody can read it: it goes even if nothing takes its place. */
  readonly corrupt?: string | undefined;
  /** Whether to wait for another process that computes the key. Called before each wait; may throw. */
  readonly mayWait: () => boolean;
  /** Turns what was found into a value, or says which version is not acceptable. */
  readonly accept: (found: Found) => Promise<Acceptance<V>>;
}

export type Acceptance<V> =
  | { readonly kind: 'accepted'; readonly value: V }
  | { readonly kind: 'refused'; readonly distrusted: string | undefined };

/** Hands out leases: one holder per key in all processes, everybody else waits for the value. */
export class CacheLeases {
  private readonly orphans: OrphanedLeases;

  constructor(
    private readonly store: CacheStore,
    private readonly waiters: CacheWaiters,
  ) {
    this.orphans = new OrphanedLeases(store, LEASE_MS);
  }

  /** Rejects only with what `mayWait` throws or with an error of the key itself, never because the server is away. */
  async claim<V>(request: ClaimRequest<V>): Promise<Claim<V>> {
    const token = request.newest + randomText(12, 'base64url');
    let { distrusted } = request;
    try {
      await this.orphans.end(request.key);
      for (;;) {
        const answer = await this.attempt(request, token, distrusted);
        if (answer.kind === 'done') return answer.claim;
        distrusted = answer.distrusted;
      }
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      if (isOutcomeUnknownError(error)) this.orphans.add(request.key, token);
      return { kind: 'unleased' };
    }
  }

  private async attempt<V>(
    request: ClaimRequest<V>,
    token: string,
    distrusted: string | undefined,
  ): Promise<Attempt<V>> {
    const { key, corrupt } = request;
    const waiter = this.waiters.expect(key);
    try {
      const answer = await this.store.acquire(key, { token, leaseMs: LEASE_MS, distrusted });
      switch (answer.kind) {
        case 'granted':
          return done({
            kind: 'leased',
            lease: new Lease(this.store, this.orphans, { key, token, atMs: answer.atMs, corrupt }),
          });
        case 'found':
          return await this.considered(request, answer.found);
        case 'held':
          if (!request.mayWait()) return done({ kind: 'unleased' });
          return await this.considered(request, entryOf(await waiter.within(patience(answer))), distrusted);
        default:
          return answer satisfies never;
      }
    } finally {
      waiter.leave();
    }
  }

  /** A value is taken if the caller accepts it; otherwise the next attempt names it as distrusted. */
  private async considered<V>(
    request: ClaimRequest<V>,
    found: Found | undefined,
    distrusted?: string,
  ): Promise<Attempt<V>> {
    if (found === undefined) return { kind: 'again', distrusted };
    const acceptance = await request.accept(found);
    if (acceptance.kind === 'accepted') return done({ kind: 'found', value: acceptance.value });
    return { kind: 'again', distrusted: acceptance.distrusted };
  }
}

type Attempt<V> =
  | { readonly kind: 'done'; readonly claim: Claim<V> }
  | { readonly kind: 'again'; readonly distrusted: string | undefined };

const done = <V>(claim: Claim<V>): Attempt<V> => ({ kind: 'done', claim });

const entryOf = (wake: { readonly entry?: CacheEntry | undefined } | undefined): Found | undefined =>
  wake?.entry === undefined ? undefined : { kind: 'entry', entry: wake.entry };

/** Not before the lease could have ended, not later than the backup look; spread, so that waiters do not come as one. */
const patience = ({ remainingMs }: Extract<Acquisition, { kind: 'held' }>): number =>
  Math.max(1, Math.min(remainingMs, LOOK_AGAIN_MS)) + Math.random() * 100;
