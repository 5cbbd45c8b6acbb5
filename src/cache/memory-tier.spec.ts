import { KEY_DEFAULTS, KeySpace } from '../common/keys.ts';
import { encode, type Encoded } from '../common/codec.ts';
import { MemoryKeyspace } from '../common/memory-keyspace.ts';
import type { CacheEntry, Stamps } from './cache-entry.ts';
import { CacheTags } from './cache-tags.ts';
import { MemoryCacheStore } from './memory-cache.store.ts';
import { MemoryTier } from './memory-tier.ts';

const LIMITS = { maxEntries: 100, maxBytes: 1e6, ttlMs: 10_000 };

function setUp(limits = LIMITS) {
  let now = 1_000_000;
  const clock = { now: () => now };
  const store = new MemoryCacheStore(new MemoryKeyspace<CacheEntry>(LIMITS, clock), clock, () => undefined);
  const tags = new CacheTags(store, new KeySpace(KEY_DEFAULTS));
  const away = new Set<string>();
  const tier = new MemoryTier(limits, tags, clock, clock.now, undefined, (key) => away.has(key));
  tier.trustFor(Number.POSITIVE_INFINITY);
  const entryOf = (value: unknown, ttlMs = 60_000, stamps: Stamps = []): CacheEntry => {
    const { codec, payload } = encode(value, { maxBytes: 1e6, compressAboveBytes: 1_000 }) as Encoded;
    return { codec, payload, stamps, version: '1', costMs: 0, freshUntilMs: now + ttlMs, keptUntilMs: now + ttlMs };
  };
  const put = (key: string, value: unknown, ttlMs?: number, stamps?: Stamps) =>
    tier.put(key, entryOf(value, ttlMs, stamps), value);
  return { tier, tags, away, put, entryOf, advance: (ms: number) => (now += ms) };
}

describe('MemoryTier', () => {
  it.each([
    ['text', 'text'],
    ['zero', 0],
    ['false', false],
    ['null', null],
    ['an object', { a: [1] }],
    ['a Map', new Map([['a', 1]])],
    ['long text', 'x'.repeat(5_000)],
    ['what was compressed', { z: 'y'.repeat(5_000) }],
  ])('gives back %s', (_, value) => {
    const { tier, put } = setUp();
    put('k', value);
    expect(tier.read('k', false)).toEqual(value);
    expect(tier.read('k', true)).toEqual(value);
  });

  it('hands out private copies, and to those who want it one frozen object', () => {
    const { tier, put } = setUp();
    put('k', { list: [1] });
    const copy = tier.read('k', false) as { list: number[] };
    copy.list.push(2);
    const frozen = tier.read('k', true) as { list: number[] };
    expect(frozen).toEqual({ list: [1] });
    expect(tier.read('k', true)).toBe(frozen);
    expect(() => frozen.list.push(2)).toThrow(TypeError);
    (tier.read('k', false) as { list: number[] }).list.push(3);
    expect(tier.read('k', false)).toEqual({ list: [1] });
  });

  it.each([
    ['a record', { id: 1, of: { list: [{ deep: true }, 'x'] }, none: null }],
    ['a list of records', [{ id: 1 }, { id: 2, of: [] }]],
    ['an object of many fields', Object.fromEntries(Array.from({ length: 500 }, (_, id) => [`f${id}`, { id }]))],
    ['numbers as names', { 2: { two: true }, 1: [] }],
    ['a Date', { at: new Date(5), of: [new Map([['a', { b: 1 }]])] }],
    ['the name of a prototype', JSON.parse('{"constructor":{"a":1},"b":{}}') as object],
  ])('gives every reader a copy of %s, however often it is read', (_, value) => {
    const { tier, put } = setUp();
    put('k', value);
    const seen = new Set<unknown>();
    for (let reader = 0; reader < 5; reader++) {
      const copy = tier.read('k', false) as Record<string, unknown>;
      expect(copy).toEqual(value);
      expect(Object.keys(copy)).toEqual(Object.keys(value));
      for (const each of [copy, ...Object.values(copy)].filter(
        (inner) => typeof inner === 'object' && inner !== null,
      )) {
        expect(seen.has(each)).toBe(false);
        seen.add(each);
        if (!(each instanceof Date)) Object.assign(each, { changed: reader });
      }
      expect(tier.read('k', reader % 2 === 1)).toEqual(value);
    }
    expect(tier.read('k', true)).toEqual(value);
  });

  it('knows how much room a value takes that is kept parsed, and still tells its payload', () => {
    const { tier, put, entryOf } = setUp();
    const value = { id: 1, list: Array.from({ length: 20 }, (_, id) => ({ id })) };
    put('k', value);
    const asText = tier.bytes;
    tier.read('k', false);
    expect(tier.bytes).toBe(asText);
    tier.read('k', false);
    expect(tier.bytes).toBeGreaterThan(asText + 500);
    expect(tier.kept('k')?.payload).toBe(entryOf(value).payload);
    expect(tier.payload('k')).toBe(entryOf(value).payload);
    tier.drop('k');
    expect(tier.bytes).toBe(0);
    put('empty', '');
    expect([tier.kept('empty')?.payload, tier.read('empty', false)]).toEqual(['', '']);
  });

  it('keeps text where there is no room for anything else', () => {
    const value = { list: Array.from({ length: 40 }, () => ({})) };
    const { tier, put } = setUp({ ...LIMITS, maxBytes: 700 });
    put('k', value);
    for (let reader = 0; reader < 4; reader++) expect(tier.read('k', reader === 3)).toEqual(value);
    expect(tier.entries).toBe(1);
    expect(tier.bytes).toBeLessThanOrEqual(700);
  });

  it('serves an entry no longer than it is fresh, nor than the tier wants to', () => {
    const { tier, put, advance } = setUp();
    put('short', 1, 5_000);
    put('long', 1, 60_000);
    advance(5_000);
    expect([tier.read('short', false), tier.read('long', false)]).toEqual([undefined, 1]);
    advance(5_000);
    expect(tier.read('long', false)).toBeUndefined();
  });

  it('serves nothing when it may not hear of invalidations', () => {
    const { tier, put, advance } = setUp();
    put('k', 1);
    tier.trustFor(1_500);
    advance(1_499);
    expect(tier.read('k', false)).toBe(1);
    advance(1);
    expect(tier.read('k', false)).toBeUndefined();
  });

  it('serves an entry only while its stamps are the versions last seen', async () => {
    const { tier, tags, put } = setUp();
    const versions = await tags.capture(['tag:a', 'tag:b'], new Map(), 1_000);
    put('a', 1, 60_000, [['tag:a', versions.get('tag:a') ?? '']]);
    put('b', 1, 60_000, [['tag:b', versions.get('tag:b') ?? '']]);
    tags.forget(['tag:a']);
    expect([tier.read('a', false), tier.read('b', false)]).toEqual([undefined, 1]);
    tags.distrust();
    expect(tier.read('b', false)).toBeUndefined();
  });

  it('keeps apart what was made with the server of a key and without it', () => {
    const { tier, tags, away, put, entryOf } = setUp();
    put('other', 1);
    for (const key of ['refused', 'alone', 'late']) away.add(key);
    put('refused', 1);
    tier.putAlone('alone', entryOf(2), 2, 1_000);
    tier.putAlone('not away', entryOf(2), 2, 1_000);
    tier.trustFor(0);
    expect(['refused', 'alone', 'not away'].map((key) => tier.read(key, false))).toEqual([undefined, 2, undefined]);
    expect(tier.stale('alone')).toBeUndefined();
    tags.look();
    expect(tier.read('alone', false)).toBe(2);
    away.clear();
    tags.look();
    tier.trustFor(Number.POSITIVE_INFINITY);
    expect(tier.read('alone', false)).toBeUndefined();
    away.add('alone');
    expect(tier.read('alone', false)).toBe(2);
    tier.forgetAlone();
    tags.look();
    expect([tier.read('alone', false), tier.read('other', false)]).toEqual([undefined, 1]);
  });

  it('does not replace what was made without the server by what was known before', () => {
    const { tier, away, put, entryOf } = setUp();
    away.add('k');
    tier.putAlone('k', entryOf('made here'), 'made here', 60_000);
    put('k', 'read before the server was lost');
    tier.putOwn('k', entryOf('computed before that'), 'computed before that');
    expect(tier.read('k', false)).toBe('made here');
  });

  it('serves what is kept nowhere else as long as it is fresh, while invalidations are heard of', () => {
    const { tier, entryOf, advance } = setUp();
    tier.putOwn('k', entryOf('own', 60_000), 'own');
    advance(59_999);
    expect([tier.read('k', false), tier.own('k') !== undefined]).toEqual(['own', true]);
    tier.trustFor(0);
    expect([tier.read('k', false), tier.own('k')]).toEqual([undefined, undefined]);
    tier.trustFor(1_000);
    advance(1);
    expect(tier.own('k')).toBeUndefined();
  });

  it('stays within its bounds', () => {
    const { tier, put } = setUp({ maxEntries: 10, maxBytes: 1e6, ttlMs: 10_000 });
    for (let i = 0; i < 1_000; i++) put(`k${i}`, { i });
    expect(tier.entries).toBeLessThanOrEqual(10);
    const small = setUp({ maxEntries: 1_000, maxBytes: 20_000, ttlMs: 10_000 });
    for (let i = 0; i < 100; i++) small.put(`k${i}`, 'x'.repeat(900));
    expect(small.tier.bytes).toBeLessThanOrEqual(20_000);
  });

  it('says of what it drops whether it was kept nowhere else, and nothing of what has ended', async () => {
    const { tier, put, entryOf, advance } = setUp();
    put('k:both', 'x');
    tier.putOwn('k:own', entryOf('x'), 'x');
    put('k:ended', 'x', 10);
    tier.putOwn('k:own ended', entryOf('x', 10), 'x');
    put('other', 'x');
    advance(10);
    const told: [string, boolean][] = [];
    await tier.dropMatching(
      (key) => key.startsWith('k:'),
      (key, isOwn) => void told.push([key, isOwn]),
    );
    expect(told.sort()).toEqual([['k:both', false], ['k:own', true]]); // prettier-ignore
  });

  describe('a large memory that is told to drop some of its keys', () => {
    const MANY = 30_000;
    const fill = () => {
      const all = setUp({ maxEntries: MANY + 10, maxBytes: 1e9, ttlMs: 10_000 });
      for (let i = 0; i < MANY; i++) all.put(`k:${i}`, 'old');
      all.put('other', 'kept');
      return all;
    };
    const matches = (key: string): boolean => key.startsWith('k:');

    it('serves none of them from that moment on, and lets others have their turn until all are gone', async () => {
      const { tier } = fill();
      let turns = 0;
      const timer = setInterval(() => turns++, 0);
      const sweep = tier.dropMatching(matches);
      const last = `k:${MANY - 1}`;
      expect([tier.entries > 1, tier.read(last, false), tier.stale(last), tier.kept(last)]).toEqual([
        true,
        undefined,
        undefined,
        undefined,
      ]);
      expect(await sweep).toBe(MANY);
      clearInterval(timer);
      expect([tier.entries, turns > 0]).toEqual([1, true]);
    });

    it('keeps what is put after that moment, and what does not match', async () => {
      const { tier, put } = fill();
      const sweep = tier.dropMatching(matches);
      const last = `k:${MANY - 1}`;
      put(last, 'new');
      put('k:new', 'new');
      const held = () => [last, 'k:new', 'other'].map((key) => tier.read(key, false));
      expect(held()).toEqual(['new', 'new', 'kept']);
      expect(await sweep).toBe(MANY - 1);
      expect(held()).toEqual(['new', 'new', 'kept']);
    });

    it('is told so again before it has ended', async () => {
      const { tier, put } = fill();
      const looksAt = jest.fn(matches);
      const first = tier.dropMatching(looksAt);
      put('k:new', 'old, too');
      const counts = await Promise.all([first, tier.dropMatching(looksAt)]);
      expect([counts[0] + counts[1], tier.entries]).toEqual([MANY + 1, 1]);
      looksAt.mockClear();
      expect(tier.read('other', false)).toBe('kept');
      expect(looksAt).not.toHaveBeenCalled();
    });
  });
});
