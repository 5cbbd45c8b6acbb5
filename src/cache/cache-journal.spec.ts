import { CacheJournal } from './cache-journal.ts';
import { MEMORY_SHARD } from './memory-cache.store.ts';

const journalOfOne = () =>
  new CacheJournal({ all: () => [MEMORY_SHARD], ofKey: () => MEMORY_SHARD, ofStamp: () => MEMORY_SHARD });

describe('CacheJournal', () => {
  it('covers the keys, patterns and tags that were not seen by the server, and nothing else', () => {
    const journal = journalOfOne();
    expect(journal.covers('a')).toBe(false);
    journal.addKeys(['a']);
    journal.addPattern('p:*');
    journal.addStamps(['tag:t'], 'expire');
    expect(['a', 'b', 'p:1', 'q:1'].map((key) => journal.covers(key))).toEqual([true, false, true, false]);
    expect(journal.coversStamps([['tag:t', '1']])).toBe(true);
    expect(journal.coversStamps([['tag:u', '1']])).toBe(false);
    expect(journal.size).toBe(3);
  });

  it('is empty when everything was done', () => {
    const journal = journalOfOne();
    journal.addKeys(['a', 'b']);
    journal.addPattern('p:*');
    journal.addStamps(['tag:t'], 'delete');
    journal.settle(journal.snapshot(MEMORY_SHARD), MEMORY_SHARD);
    expect(journal.size).toBe(0);
    expect(journal.covers('a')).toBe(false);
  });

  it('keeps what was changed again while it was replayed', () => {
    const journal = journalOfOne();
    journal.addKeys(['a', 'b']);
    journal.addStamps(['tag:t'], 'expire');
    const replayed = journal.snapshot(MEMORY_SHARD);
    journal.addKeys(['b']);
    journal.addStamps(['tag:t'], 'delete');
    journal.settle(replayed, MEMORY_SHARD);
    expect(journal.snapshot(MEMORY_SHARD)).toMatchObject({ keys: ['b'], stamps: new Map([['tag:t', 'delete']]) });
  });

  it('remembers a deletion of a tag over its expiry', () => {
    const journal = journalOfOne();
    journal.addStamps(['tag:t'], 'delete');
    journal.addStamps(['tag:t'], 'expire');
    expect(journal.snapshot(MEMORY_SHARD).stamps.get('tag:t')).toBe('delete');
  });

  it('remembers only that it was too much, when it was, and covers everything then', () => {
    const journal = journalOfOne();
    for (let i = 0; i <= 10_000; i++) journal.addKeys([`k${i}`]);
    expect(journal.size).toBe(1);
    expect(journal.covers('anything')).toBe(true);
    const replayed = journal.snapshot(MEMORY_SHARD);
    expect(replayed.isOverflown).toBe(true);
    journal.addKeys(['later']);
    journal.settle(replayed, MEMORY_SHARD);
    expect(journal.snapshot(MEMORY_SHARD)).toMatchObject({ keys: ['later'], isOverflown: false });
  });

  it('remembers only that there were too many patterns, too', () => {
    const journal = journalOfOne();
    for (let i = 0; i <= 100; i++) journal.addPattern(`p${i}:*`);
    expect(journal.size).toBe(1);
    expect(journal.covers('anything')).toBe(true);
  });

  it('keeps a pattern that was removed again while it was replayed', () => {
    const journal = journalOfOne();
    journal.addPattern('p:*');
    const replayed = journal.snapshot(MEMORY_SHARD);
    journal.addPattern('p:*');
    journal.settle(replayed, MEMORY_SHARD);
    expect(journal.covers('p:1')).toBe(true);
  });
});

describe('the journal of a cluster', () => {
  const shards = ['a', 'b'].map((place) => ({
    place,
    isAvailable: true,
    holds: (key: string) => key.startsWith(place),
  }));
  const [a, b] = shards as [(typeof shards)[0], (typeof shards)[0]];
  const find = (name: string) => shards.find((shard) => shard.holds(name));
  let journal: CacheJournal;
  beforeEach(() => {
    journal = new CacheJournal({ all: () => shards, ofKey: find, ofStamp: find });
  });

  it('has each key for its own shard', () => {
    journal.addKeys(['a1', 'b1']);
    expect([a, b].map((shard) => journal.snapshot(shard).keys)).toEqual([['a1'], ['b1']]);
  });

  it('forgets a pattern when it is done on the last shard', () => {
    journal.addPattern('*1');
    journal.settle(journal.snapshot(a), a);
    expect(['a1', 'b1'].map((key) => journal.covers(key))).toEqual([false, true]);
    expect(journal.snapshot(a).patterns).toEqual([]);
    journal.settle(journal.snapshot(b), b);
    expect(journal.size).toBe(0);
  });

  it('covers everything on the shard of which it had too much to remember, and nothing elsewhere', () => {
    for (let i = 0; i <= 10_000; i++) journal.addKeys([`a${i}`]);
    expect(['a1', 'b1'].map((key) => journal.covers(key))).toEqual([true, false]);
    expect([a, b].map((shard) => journal.snapshot(shard).isOverflown)).toEqual([true, false]);
  });
});
