import { OutcomeUnknownError, StoreUnavailableError } from '../common/errors.ts';
import type { Found } from './cache-entry.ts';
import { type Acceptance, CacheLeases, type ClaimRequest } from './cache-lease.ts';
import type { Acquisition, CacheStore, LeaseRequest } from './cache-store.interface.ts';
import { CacheWaiters } from './cache-waiters.ts';

const GRANTED: Acquisition = { kind: 'granted', atMs: 1 };
const FOUND: Acquisition = { kind: 'found', found: { kind: 'corrupt' } };
const HELD: Acquisition = { kind: 'held', remainingMs: 10_000 };

describe('CacheLeases', () => {
  let answers: (Acquisition | Error)[];
  let asked: LeaseRequest[];
  let ended: string[];
  let isRenewed: boolean;
  let waiters: CacheWaiters;
  let leases: CacheLeases;

  beforeEach(() => {
    jest.useFakeTimers();
    [answers, asked, ended, isRenewed] = [[], [], [], true];
    waiters = new CacheWaiters();
    const store: Partial<CacheStore> = {
      now: () => Date.now(),
      shardOf: () => undefined,
      acquire: async (_, request) => {
        asked.push(request);
        const answer = answers.shift() ?? GRANTED;
        if (answer instanceof Error) throw answer;
        return answer;
      },
      renew: async () => isRenewed,
      fill: async () => Promise.reject(new OutcomeUnknownError('fill', 'no answer')),
      abandon: async (_, token) => void ended.push(token),
    };
    leases = new CacheLeases(store as CacheStore, waiters);
  });
  afterEach(() => jest.useRealTimers());

  const claim = (accept: (found: Found) => Acceptance<string> = () => ({ kind: 'accepted', value: 'theirs' })) => {
    const request: ClaimRequest<string> = {
      ...{ key: 'k', newest: '0'.repeat(16), distrusted: undefined, mayWait: () => true },
      accept: async (found) => accept(found),
    };
    return leases.claim(request);
  };

  it('names what the caller does not accept, so that it is not offered again', async () => {
    answers = [FOUND];
    const { kind } = await claim(() => ({ kind: 'refused', distrusted: 'version 7' }));
    expect([kind, asked.map(({ distrusted }) => distrusted)]).toEqual(['leased', [undefined, 'version 7']]);
  });

  it('looks for itself from time to time while it waits: the word of the holder may be lost', async () => {
    answers = [HELD];
    const claimed = claim();
    await jest.advanceTimersByTimeAsync(999);
    expect(asked).toHaveLength(1);
    await jest.advanceTimersByTimeAsync(102);
    expect((await claimed).kind).toBe('leased');
  });

  it('looks at once when it is woken', async () => {
    answers = [HELD, FOUND];
    const claimed = claim();
    await jest.advanceTimersByTimeAsync(10);
    waiters.wake('k');
    expect(await claimed).toEqual({ kind: 'found', value: 'theirs' });
  });

  it('ends a lease that it may have got, before it claims the key again', async () => {
    answers = [new OutcomeUnknownError('acquire', 'no answer')];
    expect(await claim()).toEqual({ kind: 'unleased' });
    await claim();
    expect(ended).toEqual([asked[0]?.token]);
  });

  it('ends no lease that it cannot have got', async () => {
    answers = [new StoreUnavailableError('acquire', 'not connected')];
    expect(await claim()).toEqual({ kind: 'unleased' });
    await claim();
    expect(ended).toEqual([]);
  });

  it('ends a lease whose fill was not heard of, before it claims the key again', async () => {
    const claimed = await claim();
    if (claimed.kind !== 'leased') throw new Error(claimed.kind);
    await expect(claimed.lease.fill({} as never)).rejects.toBeInstanceOf(OutcomeUnknownError);
    await claim();
    expect(ended).toEqual([asked[0]?.token]);
  });

  it('tells once that a lease is gone, within a second', async () => {
    const claimed = await claim();
    if (claimed.kind !== 'leased') throw new Error(claimed.kind);
    const lost = jest.fn();
    claimed.lease.hold(lost);
    await jest.advanceTimersByTimeAsync(5_000);
    expect(lost).not.toHaveBeenCalled();
    isRenewed = false;
    await jest.advanceTimersByTimeAsync(1_000);
    expect(lost).toHaveBeenCalledTimes(1);
    expect(jest.getTimerCount()).toBe(0);
  });
});
