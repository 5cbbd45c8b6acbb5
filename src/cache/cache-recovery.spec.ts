import { StoreUnavailableError } from '../common/errors.ts';
import type { Shard } from '../redis/availability.types.ts';
import { CacheJournal } from './cache-journal.ts';
import { Notices } from './cache-notices.ts';
import { CacheRecovery } from './cache-recovery.ts';
import type { CacheStore } from './cache-store.interface.ts';
import type { CacheTags } from './cache-tags.ts';

const shardOf = (letter: string) => ({
  place: letter,
  isAvailable: true,
  holds: (key: string) => key.startsWith(letter),
});

describe('CacheRecovery', () => {
  const shards = [shardOf('a'), shardOf('b')];
  const [a, b] = shards as [(typeof shards)[0], (typeof shards)[0]];
  const find = (name: string): Shard | undefined => shards.find((shard) => shard.holds(name));
  let done: string[];
  let del: jest.Mock<Promise<number>, [readonly string[]]>;
  let journal: CacheJournal;
  let recovery: CacheRecovery;

  beforeEach(() => {
    jest.useFakeTimers();
    for (const shard of shards) shard.isAvailable = true;
    done = [];
    del = jest.fn(async (keys: readonly string[]) => {
      if (keys.some((key) => find(key)?.isAvailable !== true)) throw new StoreUnavailableError('del', 'away');
      done.push(...keys);
      return keys.length;
    });
    journal = new CacheJournal({ all: () => shards, ofKey: find, ofStamp: find });
    const store = { shards, del } as unknown as CacheStore;
    const recoveryStore = { shards, del: async (keys: readonly string[]) => void done.push(`again ${keys.join()}`) };
    recovery = new CacheRecovery({
      store,
      recoveryStore: recoveryStore as unknown as CacheStore,
      tags: { epochsOn: () => [] } as unknown as CacheTags,
      journal,
      notices: new Notices(),
    });
  });
  afterEach(() => {
    recovery.stop();
    jest.useRealTimers();
  });

  it('does what can be done, while another shard is away, and the rest when that is back', async () => {
    a.isAvailable = false;
    journal.addKeys(['a1', 'b1']);
    recovery.wakeUp();
    await jest.advanceTimersByTimeAsync(250);
    expect([done, journal.size]).toEqual([['b1'], 1]);
    await jest.advanceTimersByTimeAsync(1_000);
    expect(done).toEqual(['b1']);
    a.isAvailable = true;
    await jest.advanceTimersByTimeAsync(250);
    expect([done, journal.size]).toEqual([['b1', 'a1'], 0]);
    // Nothing left to do, nobody to wake up.
    expect(jest.getTimerCount()).toBe(0);
  });

  it('replays one after the other, never the same shard twice at a time', async () => {
    let answer!: () => void;
    del.mockImplementationOnce(async () => {
      await new Promise<void>((resolve) => (answer = resolve));
      return done.push('first');
    });
    journal.addKeys(['b1']);
    recovery.wakeUp();
    await jest.advanceTimersByTimeAsync(250);
    journal.addKeys(['b2']);
    const recovered = recovery.recover({ shard: b, everything: false });
    await jest.advanceTimersByTimeAsync(0);
    expect(done).toEqual([]);
    answer();
    await recovered;
    expect(done).toEqual(['first', 'again b2']);
    expect(journal.size).toBe(0);
  });

  it('keeps in the journal what could not be done', async () => {
    journal.addKeys(['b1']);
    recovery.wakeUp();
    del.mockRejectedValueOnce(new StoreUnavailableError('del', 'away'));
    await jest.advanceTimersByTimeAsync(250);
    expect(journal.covers('b1')).toBe(true);
    await jest.advanceTimersByTimeAsync(250);
    expect(journal.covers('b1')).toBe(false);
  });
});
