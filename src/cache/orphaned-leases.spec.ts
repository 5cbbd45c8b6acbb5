import { OutcomeUnknownError, StoreUnavailableError } from '../common/errors.ts';
import { MemoryKeyspace } from '../common/memory-keyspace.ts';
import type { CacheEntry } from './cache-entry.ts';
import { CacheLeases, LEASE_MS, type Claim } from './cache-lease.ts';
import type { Acquisition, LeaseRequest } from './cache-store.interface.ts';
import { CacheWaiters } from './cache-waiters.ts';
import { MemoryCacheStore } from './memory-cache.store.ts';

/** A store of which one hears nothing, although it does what it is told, until it is asked to speak again. */
class FaintStore extends MemoryCacheStore {
  isFaint = true;
  abandoned = 0;

  override async acquire(key: string, request: LeaseRequest): Promise<Acquisition> {
    const answer = await super.acquire(key, request);
    if (this.isFaint) throw new OutcomeUnknownError('acquire', 'no answer');
    return answer;
  }

  override async abandon(key: string, token: string): Promise<void> {
    this.abandoned++;
    if (this.isFaint) throw new StoreUnavailableError('abandon', 'away');
    return super.abandon(key, token);
  }
}

describe('OrphanedLeases', () => {
  const clock = { now: () => Date.now() };
  let store: FaintStore;
  const processOf = (): CacheLeases => new CacheLeases(store, new CacheWaiters());
  const claim = async (leases: CacheLeases): Promise<Claim<unknown>['kind']> => {
    const accept = () => Promise.reject(new Error('nothing is there'));
    const request = { key: 'k', newest: '0'.repeat(16), distrusted: undefined, mayWait: () => false, accept };
    return (await leases.claim(request)).kind;
  };

  beforeEach(() => {
    jest.useFakeTimers();
    store = new FaintStore(new MemoryKeyspace<CacheEntry>({ maxEntries: 10, maxBytes: 1e6 }), clock, () => undefined);
  });
  afterEach(() => jest.useRealTimers());

  it('does not let a process wait for what it has taken itself without hearing of it', async () => {
    const own = processOf();
    expect(await claim(own)).toBe('unleased');
    store.isFaint = false;
    expect(await claim(processOf())).toBe('unleased');
    expect(await claim(own)).toBe('leased');
  });

  it('lets others go on as soon as the store can be asked again', async () => {
    expect(await claim(processOf())).toBe('unleased');
    await jest.advanceTimersByTimeAsync(1_000);
    store.isFaint = false;
    await jest.advanceTimersByTimeAsync(250);
    expect(await claim(processOf())).toBe('leased');
  });

  it('ends no lease that was taken since', async () => {
    const own = processOf();
    await claim(own);
    store.isFaint = false;
    await claim(own);
    await jest.advanceTimersByTimeAsync(1_000);
    expect(await claim(processOf())).toBe('unleased');
    expect(store.abandoned).toBe(1);
  });

  it('gives up when the lease must have ended by itself', async () => {
    await claim(processOf());
    await jest.advanceTimersByTimeAsync(LEASE_MS + 500);
    expect(store.abandoned).toBeGreaterThan(10);
    expect(jest.getTimerCount()).toBe(0);
  });
});
