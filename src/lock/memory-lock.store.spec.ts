import { StoreUnavailableError } from '../common/errors.ts';
import { MemoryLockStore } from './memory-lock.store.ts';

/** Time that a test moves. */
const movedBy = { ms: 0 };
const clock = { now: () => Date.UTC(2030, 0, 1) + movedBy.ms };

const lease = (token: string, ttlMs: number) => ({ token, ttlMs, limit: 1 });

describe('MemoryLockStore', () => {
  beforeEach(() => (movedBy.ms = 0));

  it('gives a greater fence when the clock was set back', () => {
    const store = new MemoryLockStore(clock);
    const before = store.acquire('k', lease('alice', 1_000)) as { fence: number };
    store.release('k', 'alice');
    movedBy.ms = -3_600_000;
    const after = store.acquire('k', lease('bob', 1_000)) as { fence: number };
    expect(after.fence).toBeGreaterThan(before.fence);
  });

  it('gives a greater fence than the process before it', () => {
    const before = new MemoryLockStore(clock).acquire('k', lease('alice', 1_000)) as { fence: number };
    movedBy.ms = 1;
    const after = new MemoryLockStore(clock).acquire('k', lease('bob', 1_000)) as { fence: number };
    expect(after.fence).toBeGreaterThan(before.fence);
  });

  it('refuses a lease that would be one too many, until others have ended', () => {
    const store = new MemoryLockStore(clock, 3);
    for (const key of ['a', 'b', 'c']) store.acquire(key, lease('alice', 1_000));
    const oneMore = () => store.acquire('d', lease('alice', 1_000));
    expect(oneMore).toThrow(StoreUnavailableError);
    expect(store.acquire('a', lease('alice', 1_000))).toMatchObject({ kind: 'acquired' });
    movedBy.ms = 2_000;
    expect(oneMore()).toMatchObject({ kind: 'acquired' });
  });

  it('forgets leases that nobody gave back', () => {
    const store = new MemoryLockStore(clock, 2_000);
    for (let i = 0; i < 20_000; i++) {
      movedBy.ms += 1;
      expect(store.acquire(`k${i}`, lease('alice', 100))).toMatchObject({ kind: 'acquired' });
    }
  });
});
