import { CacheJournal } from './cache-journal.ts';

describe('CacheJournal', () => {
  it('covers the keys, patterns and tags that were not seen by the server, and nothing else', () => {
    const journal = new CacheJournal();
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
    const journal = new CacheJournal();
    journal.addKeys(['a', 'b']);
    journal.addPattern('p:*');
    journal.addStamps(['tag:t'], 'delete');
    journal.settle(journal.snapshot());
    expect(journal.size).toBe(0);
    expect(journal.covers('a')).toBe(false);
  });

  it('keeps what was changed again while it was replayed', () => {
    const journal = new CacheJournal();
    journal.addKeys(['a', 'b']);
    journal.addStamps(['tag:t'], 'expire');
    const replayed = journal.snapshot();
    journal.addKeys(['b']);
    journal.addStamps(['tag:t'], 'delete');
    journal.settle(replayed);
    expect(journal.snapshot()).toMatchObject({ keys: ['b'], stamps: new Map([['tag:t', 'delete']]) });
  });

  it('remembers a deletion of a tag over its expiry', () => {
    const journal = new CacheJournal();
    journal.addStamps(['tag:t'], 'delete');
    journal.addStamps(['tag:t'], 'expire');
    expect(journal.snapshot().stamps.get('tag:t')).toBe('delete');
  });

  it('remembers only that it was too much, when it was, and covers everything then', () => {
    const journal = new CacheJournal();
    for (let i = 0; i <= 10_000; i++) journal.addKeys([`k${i}`]);
    expect(journal.size).toBe(1);
    expect(journal.covers('anything')).toBe(true);
    const replayed = journal.snapshot();
    expect(replayed.isOverflown).toBe(true);
    journal.addKeys(['later']);
    journal.settle(replayed);
    expect(journal.snapshot()).toMatchObject({ keys: ['later'], isOverflown: false });
  });
});
