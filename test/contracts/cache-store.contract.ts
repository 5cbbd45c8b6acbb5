import { setTimeout as sleep } from 'node:timers/promises';
import type { CacheEntry, EntryDraft, Found } from '../../src/cache/cache-entry.ts';
import type { CacheStore } from '../../src/cache/cache-store.interface.ts';

export interface CacheStoreUnderTest {
  readonly store: CacheStore;
  /** By how much the clocks of two processes may differ that look at the same value; 0 when it is one clock. */
  readonly clockDoubtMs: number;
  /** Puts text under a key as another program would. */
  putForeign(key: string, text: string): Promise<unknown>;
  putSet(key: string): Promise<unknown>;
  close(): Promise<void>;
}

const SEEN_NOTHING = '0'.repeat(16);
const SEEN_MORE = '0'.repeat(15) + '1';

const token = (name: string, newest = SEEN_NOTHING): string => newest + name.padEnd(16, '.');

const draft = (payload: string, changes: Partial<EntryDraft> = {}): EntryDraft => ({
  codec: 's',
  payload,
  ttlMs: 60_000,
  keepMs: 60_000,
  costMs: 5,
  stamps: [],
  ...changes,
});

function entryOf(found: Found): CacheEntry {
  if (found.kind !== 'entry') throw new Error(`expected an entry, found ${found.kind}`);
  return found.entry;
}

/** What every cache store promises, whatever it keeps its entries in. */
export function describeCacheStoreContract(name: string, open: () => Promise<CacheStoreUnderTest>): void {
  describe(`cache store contract: ${name}`, () => {
    let subject: CacheStoreUnderTest;
    let store: CacheStore;
    let sequence = 0;
    let key: string;

    beforeAll(async () => {
      subject = await open();
      store = subject.store;
    });
    afterAll(() => subject.close());
    beforeEach(() => {
      key = `app:v1:k${sequence++}`;
    });

    const acquire = (by: string, leaseMs = 5_000, distrusted?: string) =>
      store.acquire(key, { token: token(by), leaseMs, distrusted });
    const write = ({ ttlMs, keepMs, stamps, codec, payload }: EntryDraft): Promise<void> =>
      store.write({ ttlMs, keepMs, stamps, entries: [{ key, encoded: { codec, payload } }] }, '');
    /** Each holds its own name. */
    const writeAll = (keys: readonly string[]): Promise<void> => {
      const entries = keys.map((each) => ({ key: each, encoded: { codec: 's', payload: each } }));
      return store.write({ ttlMs: 60_000, keepMs: 60_000, stamps: [], entries }, '');
    };
    const read = async (): Promise<string | undefined> => {
      const found = await store.read(key);
      return found.kind === 'entry' ? found.entry.payload.toString() : undefined;
    };

    describe('values', () => {
      it('reads back what was written, with everything the writer said', async () => {
        const stamps = [['tag:ä', '1.2']] as const;
        await write(draft('wörd', { stamps, ttlMs: 30_000, keepMs: 90_000 }));
        const entry = entryOf(await store.read(key));
        expect(entry).toMatchObject({ codec: 's', costMs: 0, stamps });
        expect(entry.payload.toString()).toBe('wörd');
        expect(entry.keptUntilMs - entry.freshUntilMs).toBe(60_000);
        expect(Math.abs(entry.freshUntilMs - store.now() - 30_000)).toBeLessThan(1_000);
      });

      it('keeps binary payloads byte for byte', async () => {
        const bytes = Buffer.from([0, 255, 13, 10, 126, 49]);
        await write({ ...draft(''), codec: 'b', payload: bytes });
        expect(Buffer.compare(entryOf(await store.read(key)).payload as Buffer, bytes)).toBe(0);
      });

      it('finds nothing where nothing is', async () => {
        expect(await store.read(key)).toEqual({ kind: 'absent' });
        expect(await store.describe(key)).toEqual({ type: 'none', pttlMs: -2 });
      });

      it('gives every write of a key a larger version', async () => {
        const versions: string[] = [];
        for (let i = 0; i < 20; i++) {
          await write(draft(String(i)));
          versions.push(entryOf(await store.read(key)).version);
        }
        expect([...new Set(versions)].sort()).toEqual(versions);
      });

      it('forgets a value when its time to be kept is over', async () => {
        await write(draft('short', { ttlMs: 30, keepMs: 60 }));
        await sleep(120);
        expect(await store.read(key)).toEqual({ kind: 'absent' });
      });

      it('makes a value stale for whoever looks next, and keeps it as long as before', async () => {
        for (const ttlMs of [30_000, subject.clockDoubtMs]) {
          await write(draft('v', { ttlMs, keepMs: 90_000 }));
          const { keptUntilMs } = entryOf(await store.read(key));
          expect(await store.spoil([key, `${key}:none`], '')).toBe(1);
          const spoilt = entryOf(await store.read(key));
          expect(spoilt.freshUntilMs).toBeLessThanOrEqual(store.now() - subject.clockDoubtMs);
          expect([spoilt.keptUntilMs, spoilt.payload.toString()]).toEqual([keptUntilMs, 'v']);
        }
        await subject.putForeign(key, 'x');
        expect(await store.spoil([key], '')).toBe(0);
      });

      it('writes many keys at once', async () => {
        const keys = Array.from({ length: 300 }, (_, index) => `${key}:${index}`);
        await writeAll(keys);
        const found = await Promise.all(keys.map((each) => store.read(each)));
        expect(found.map((each) => entryOf(each).payload.toString())).toEqual(keys);
      });
    });

    describe('leases', () => {
      it('grants one caller the lease and makes the others wait', async () => {
        expect(await acquire('a')).toMatchObject({ kind: 'granted' });
        const answer = await acquire('b');
        expect(answer.kind).toBe('held');
        expect(answer.kind === 'held' && answer.remainingMs).toBeGreaterThan(4_000);
        expect(await store.read(key)).toEqual({ kind: 'absent' });
      });

      it('stores what the holder fills, and answers the next caller with it', async () => {
        await acquire('a');
        expect(await store.fill(key, token('a'), draft('made'))).toBe(true);
        const answer = await acquire('b');
        expect(answer.kind === 'found' && entryOf(answer.found)).toMatchObject({ payload: 'made', costMs: 5 });
      });

      it('refuses to fill twice, and to fill with a token that was never granted', async () => {
        await acquire('a');
        expect(await store.fill(key, token('x'), draft('forged'))).toBe(false);
        expect(await store.fill(key, token('a'), draft('made'))).toBe(true);
        expect(await store.fill(key, token('a'), draft('again'))).toBe(false);
        expect(await read()).toBe('made');
      });

      it('refuses to fill after a deletion', async () => {
        await acquire('a');
        await store.del([key], '');
        expect(await store.fill(key, token('a'), draft('old'))).toBe(false);
        expect(await read()).toBeUndefined();
      });

      it('refuses to fill after a deletion by pattern', async () => {
        await acquire('a');
        await store.delPattern(`${key}*`, '');
        expect(await store.fill(key, token('a'), draft('old'))).toBe(false);
      });

      it('refuses to fill after a write', async () => {
        await acquire('a');
        await write(draft('written'));
        expect(await store.fill(key, token('a'), draft('old'))).toBe(false);
        expect(await read()).toBe('written');
      });

      it('refuses to fill when the key was deleted and claimed by somebody else', async () => {
        await acquire('a');
        await store.del([key], '');
        expect(await acquire('b')).toMatchObject({ kind: 'granted' });
        expect(await store.fill(key, token('a'), draft('old'))).toBe(false);
        expect(await store.fill(key, token('b'), draft('new'))).toBe(true);
        expect(await read()).toBe('new');
      });

      it('hands the lease to a caller that has seen a newer invalidation', async () => {
        await acquire('a');
        const newer = token('b', SEEN_MORE);
        expect(await store.acquire(key, { token: newer, leaseMs: 5_000 })).toMatchObject({ kind: 'granted' });
        expect(await store.fill(key, token('a'), draft('old'))).toBe(false);
        expect(await acquire('c')).toMatchObject({ kind: 'held' });
        expect(await store.fill(key, newer, draft('new'))).toBe(true);
      });

      it('grants a lease anew when its time is over', async () => {
        await acquire('a', 40);
        await sleep(90);
        expect(await acquire('b')).toMatchObject({ kind: 'granted' });
        expect(await store.fill(key, token('a'), draft('late'))).toBe(false);
      });

      it('prolongs a lease for its holder only, and while it is held only', async () => {
        await acquire('a', 150);
        expect(await store.renew(key, token('b'), 5_000)).toBe(false);
        expect(await store.renew(key, token('a'), 5_000)).toBe(true);
        await sleep(200);
        expect(await acquire('b')).toMatchObject({ kind: 'held' });
        await store.del([key], '');
        expect(await store.renew(key, token('a'), 5_000)).toBe(false);
      });

      it('frees an abandoned key at once, but not for somebody else', async () => {
        await acquire('a');
        await store.abandon(key, token('b'));
        expect(await acquire('b')).toMatchObject({ kind: 'held' });
        await store.abandon(key, token('a'));
        expect(await acquire('b')).toMatchObject({ kind: 'granted' });
      });

      it('leases a stale value and keeps it readable meanwhile', async () => {
        await write(draft('stale', { ttlMs: 20, keepMs: 60_000 }));
        await sleep(60);
        expect(await acquire('a')).toMatchObject({ kind: 'granted' });
        expect(await read()).toBe('stale');
        expect(await acquire('b')).toMatchObject({ kind: 'held' });
        await store.abandon(key, token('a'));
        expect(await read()).toBe('stale');
        expect(await acquire('b')).toMatchObject({ kind: 'granted' });
        expect(await store.fill(key, token('b'), draft('fresh'))).toBe(true);
        expect(await read()).toBe('fresh');
      });

      it('removes a value that nobody can read when its lease is given back, and no other', async () => {
        await write(draft('unreadable'));
        const { version } = entryOf(await store.read(key));
        await acquire('a', 5_000, version);
        await store.abandon(key, token('x'), version);
        await store.abandon(key, token('a'), '0'.repeat(16));
        expect(await read()).toBe('unreadable');
        await acquire('b', 5_000, version);
        await store.abandon(key, token('b'), version);
        expect((await store.describe(key)).type).toBe('none');
      });

      it('removes bytes without a version when the lease on them is given back', async () => {
        await write(draft('unreadable'));
        await acquire('a', 5_000, 'corrupt');
        await store.abandon(key, token('a'), 'corrupt');
        expect((await store.describe(key)).type).toBe('none');
      });

      it('leases a fresh value that the caller distrusts, and no other', async () => {
        await write(draft('doubted'));
        const { version } = entryOf(await store.read(key));
        expect(await acquire('a', 5_000, '0'.repeat(16))).toMatchObject({ kind: 'found' });
        expect(await acquire('b', 5_000, version)).toMatchObject({ kind: 'granted' });
      });

      it('lets one of many callers have the lease', async () => {
        const answers = await Promise.all(Array.from({ length: 50 }, (_, index) => acquire(String(index))));
        expect(answers.filter(({ kind }) => kind === 'granted')).toHaveLength(1);
        expect(answers.filter(({ kind }) => kind === 'held')).toHaveLength(49);
      });
    });

    describe('invalidation', () => {
      it('counts the keys it removes', async () => {
        const keys = [`${key}:a`, `${key}:b`];
        await writeAll(keys);
        expect(await store.del([...keys, `${key}:absent`], '')).toBe(2);
        expect(await store.del(keys, '')).toBe(0);
      });

      it('removes keys of any type', async () => {
        await subject.putSet(key);
        expect(await store.del([key], '')).toBe(1);
        expect(await store.describe(key)).toMatchObject({ type: 'none' });
      });

      it('removes exactly the keys that a pattern matches', async () => {
        const matching = Array.from({ length: 1_200 }, (_, index) => `${key}:yes:${index}`);
        const others = [`${key}:no`, key, `other${key}:yes:1`];
        await writeAll([...matching, ...others]);
        expect(await store.delPattern(`${key}:yes:*`, '')).toBe(1_200);
        const left = await Promise.all(others.map((each) => store.read(each)));
        expect(left.map(({ kind }) => kind)).toEqual(['entry', 'entry', 'entry']);
        expect(await store.delPattern(`${key}:yes:*`, '')).toBe(0);
      });

      it('creates the version of a tag once', async () => {
        expect(await store.versions([key])).toEqual([undefined]);
        const [first, same] = await store.capture([key, key], 60_000);
        expect(first).toMatch(/^\d{16}\.\d{16}$/);
        expect(same).toBe(first);
        expect(await store.versions([key])).toEqual([first]);
      });

      it('changes both numbers of a version to delete, and the second one to expire', async () => {
        const [first = ''] = await store.capture([key], 60_000);
        await store.bump([key], 'expire', '');
        const [expired = ''] = await store.versions([key]);
        expect(expired.slice(0, 16)).toBe(first.slice(0, 16));
        expect(expired.slice(17) > first.slice(17)).toBe(true);
        await store.bump([key], 'delete', '');
        const [deleted = ''] = await store.versions([key]);
        expect(deleted.slice(0, 16) > expired.slice(17)).toBe(true);
        expect(deleted.slice(17)).toBe(deleted.slice(0, 16));
      });

      it('remembers the invalidation of a tag that no entry carries yet', async () => {
        await store.bump([key], 'delete', '');
        expect((await store.versions([key]))[0]).toMatch(/^\d{16}\.\d{16}$/);
      });
    });

    describe('keys', () => {
      it('gives an entry a new time to live and leaves it its grace', async () => {
        await write(draft('x', { ttlMs: 1_000, keepMs: 3_000 }));
        expect(await store.expire(key, 60_000, '')).toBe(true);
        const entry = entryOf(await store.read(key));
        expect(entry.keptUntilMs - entry.freshUntilMs).toBe(2_000);
        expect(entry.freshUntilMs - store.now()).toBeGreaterThan(50_000);
        expect((await store.describe(key)).pttlMs).toBeGreaterThan(50_000);
      });

      it('gives a collection a time to live, and nothing to what is not there', async () => {
        await subject.putSet(key);
        expect((await store.describe(key)).pttlMs).toBe(-1);
        expect(await store.expire(key, 40, '')).toBe(true);
        await sleep(90);
        expect((await store.describe(key)).type).toBe('none');
        expect(await store.expire(key, 60_000, '')).toBe(false);
      });

      it('names the kind of data a key holds', async () => {
        await subject.putSet(key);
        expect((await store.describe(key)).type).toBe('set');
        await write(draft('x'));
        expect((await store.describe(key)).type).toBe('string');
      });
    });

    describe('what others wrote', () => {
      it('finds foreign text as text', async () => {
        await subject.putForeign(key, '5');
        expect(await store.read(key)).toEqual({ kind: 'foreign', text: Buffer.from('5') });
        expect(await acquire('a')).toMatchObject({ kind: 'found', found: { kind: 'foreign' } });
      });

      it('leases a key whose foreign text nobody can read', async () => {
        await subject.putForeign(key, 'not json');
        expect(await acquire('a', 5_000, 'corrupt')).toMatchObject({ kind: 'granted' });
        expect(await store.fill(key, token('a'), draft('repaired'))).toBe(true);
        expect(await read()).toBe('repaired');
      });

      it('does not lease what is not a value', async () => {
        await subject.putSet(key);
        await expect(acquire('a')).rejects.toMatchObject({ code: 'KEEP_WRONG_TYPE' });
        expect(await store.read(key)).toEqual({ kind: 'absent' });
      });
    });
  });
}
