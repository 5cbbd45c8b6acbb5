import { randomBytes } from 'node:crypto';
import {
  type LeaseClaim,
  type LockStore,
  SILENCE_MS,
  SLACK_MS,
  type Turn,
} from '../../src/lock/lock-store.interface.ts';
import { eventually } from '../support/eventually.ts';

/** A store under test, and the means to move its time and to take its data away. */
export interface LockStoreSetup {
  readonly store: LockStore;
  /** Lets this much of the store's time pass. */
  readonly pass: (ms: number) => Promise<void>;
  /** Forgets everything, as a server does that fails over to an empty replica. */
  readonly loseData: () => Promise<unknown>;
  readonly close: () => Promise<void>;
}

const newToken = () => randomBytes(16).toString('hex');

/** What somebody asks for who wants the key alone, or with others. */
const lease = (token: string, ttlMs: number, limit = 1): LeaseClaim => ({ token, ttlMs, limit });
/** A place in the queue for somebody who first asked so long ago. */
const turn = (askedMsAgo: number, callers = 1): Turn => ({ askedMsAgo, callers, keepMs: SILENCE_MS });

/** A lease so long that it cannot end during a test, and one so short that a test can wait for its end. */
const LONG_MS = 60_000;
const SHORT_MS = 300;

/**
 * @param isOnTime false leaves out what has to wait for the time of the store: its scripts are the same wherever it runs
 */
export function describeLockStoreContract(name: string, open: () => Promise<LockStoreSetup>, isOnTime = true): void {
  describe(`${name}: leases`, () => {
    let setup: LockStoreSetup;
    let store: LockStore;
    const alice = newToken();
    const bob = newToken();

    /** A fence of `key`, taken and given back at once. */
    async function nextFence(key: string): Promise<number> {
      const token = newToken();
      const outcome = await store.acquire(key, lease(token, LONG_MS));
      if (outcome.kind !== 'acquired') throw new Error(`${key} is held`);
      await store.release(key, token);
      return outcome.fence;
    }

    beforeAll(async () => {
      setup = await open();
      store = setup.store;
    });
    beforeEach(() => setup.loseData());
    afterAll(() => setup.close());

    it('grants a free key and tells the next one how long the lease lasts', async () => {
      expect(await store.acquire('k', lease(alice, LONG_MS))).toEqual({
        kind: 'acquired',
        fence: expect.any(Number) as number,
      });
      const refused = await store.acquire('k', lease(bob, LONG_MS));
      expect(refused).toEqual({ kind: 'held', remainingMs: expect.any(Number) as number });
      expect((refused as { remainingMs: number }).remainingMs).toBeGreaterThan(LONG_MS / 2);
      expect((refused as { remainingMs: number }).remainingMs).toBeLessThanOrEqual(LONG_MS);
    });

    it('keeps the leases of different keys apart', async () => {
      await store.acquire('a', lease(alice, LONG_MS));
      expect(await store.acquire('b', lease(bob, LONG_MS))).toMatchObject({ kind: 'acquired' });
      expect(await store.release('b', alice)).toBe(false);
      expect(await store.isHeld('b')).toBe(true);
    });

    it('says "yours" to a token that asks again, with the same fence', async () => {
      const first = await store.acquire('k', lease(alice, LONG_MS));
      expect(await store.acquire('k', lease(alice, LONG_MS))).toEqual(first);
      expect(await store.acquire('k', lease(bob, LONG_MS))).toMatchObject({ kind: 'held' });
    });

    it('never shortens a lease by asking again', async () => {
      await store.acquire('k', lease(alice, LONG_MS));
      await store.acquire('k', lease(alice, SHORT_MS));
      const refused = await store.acquire('k', lease(bob, LONG_MS));
      expect((refused as { remainingMs: number }).remainingMs).toBeGreaterThan(LONG_MS / 2);
    });

    it('lets one of many simultaneous callers in', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, async () => store.acquire('k', lease(newToken(), LONG_MS))),
      );
      expect(outcomes.filter((outcome) => outcome.kind === 'acquired')).toHaveLength(1);
    });

    it('frees the key when its holder releases it, once', async () => {
      await store.acquire('k', lease(alice, LONG_MS));
      expect(await store.release('k', alice)).toBe(true);
      expect(await store.isHeld('k')).toBe(false);
      expect(await store.release('k', alice)).toBe(false);
      expect(await store.acquire('k', lease(bob, LONG_MS))).toMatchObject({ kind: 'acquired' });
    });

    it.each([['a foreign token', newToken()] as const, ['an empty token', ''] as const])(
      'changes nothing when released with %s',
      async (_, token) => {
        await store.acquire('k', lease(alice, LONG_MS));
        expect(await store.release('k', token)).toBe(false);
        expect(await store.acquire('k', lease(bob, LONG_MS))).toMatchObject({ kind: 'held' });
        expect(await store.release('k', alice)).toBe(true);
      },
    );

    it('releases nothing when nothing is held', async () => {
      expect(await store.release('k', alice)).toBe(false);
      expect(await store.forceRelease('k')).toBe(false);
      expect(await store.isHeld('k')).toBe(false);
    });

    it('extends nothing for a foreign token, nor what was released', async () => {
      await store.acquire('k', lease(alice, LONG_MS));
      expect(await store.extend('k', bob, LONG_MS)).toBe(false);
      await store.release('k', alice);
      expect(await store.extend('k', alice, LONG_MS)).toBe(false);
      expect(await store.isHeld('k')).toBe(false);
    });

    it('is released by force whoever holds it', async () => {
      await store.acquire('k', lease(alice, LONG_MS));
      expect(await store.forceRelease('k')).toBe(true);
      expect(await store.extend('k', alice, LONG_MS)).toBe(false);
      expect(await store.acquire('k', lease(bob, LONG_MS))).toMatchObject({ kind: 'acquired' });
    });

    it('gives a greater fence to each of many holders in quick succession', async () => {
      const fences: number[] = [];
      for (let i = 0; i < 200; i++) fences.push(await nextFence('k'));
      expect(fences).toEqual([...new Set(fences)].sort((a, b) => a - b));
    });

    it.each(['__proto__', 'constructor', 'a\r\nDEL k', '{tag}', 'k*'])('treats %j as any other key', async (key) => {
      await store.acquire('k', lease(alice, LONG_MS));
      expect(await store.acquire(key, lease(bob, LONG_MS))).toMatchObject({ kind: 'acquired' });
      expect(await store.release(key, bob)).toBe(true);
      expect(await store.isHeld('k')).toBe(true);
    });

    if (isOnTime) {
      it('gives a token that asks again its whole ttl', async () => {
        await store.acquire('k', lease(alice, SHORT_MS));
        await store.acquire('k', lease(alice, LONG_MS));
        await setup.pass(SHORT_MS + 20);
        expect(await store.isHeld('k')).toBe(true);
      });

      it('ends a lease after its ttl, for its holder too', async () => {
        await store.acquire('k', lease(alice, SHORT_MS));
        await setup.pass(SHORT_MS + 20);
        expect(await store.isHeld('k')).toBe(false);
        expect(await store.extend('k', alice, LONG_MS)).toBe(false);
        expect(await store.release('k', alice)).toBe(false);
        expect(await store.forceRelease('k')).toBe(false);
      });

      it('does not let the late holder release or extend the lease of the next one', async () => {
        await store.acquire('k', lease(alice, SHORT_MS));
        await setup.pass(SHORT_MS + 20);
        await store.acquire('k', lease(bob, LONG_MS));
        expect(await store.release('k', alice)).toBe(false);
        expect(await store.extend('k', alice, LONG_MS)).toBe(false);
        expect(await store.release('k', bob)).toBe(true);
      });

      it('extends a lease from now on', async () => {
        await store.acquire('k', lease(alice, SHORT_MS));
        expect(await store.extend('k', alice, LONG_MS)).toBe(true);
        await setup.pass(SHORT_MS + 20);
        expect(await store.acquire('k', lease(bob, LONG_MS))).toMatchObject({ kind: 'held' });
      });

      it('never shortens a lease by extending it', async () => {
        await store.acquire('k', lease(alice, LONG_MS));
        expect(await store.extend('k', alice, SHORT_MS)).toBe(true);
        await setup.pass(SHORT_MS + 20);
        expect(await store.isHeld('k')).toBe(true);
      });

      it('gives a greater fence after a release, a forced release, an expiry and a loss of all data', async () => {
        const fences = [await nextFence('k'), await nextFence('k')];
        await store.acquire('k', lease(alice, LONG_MS));
        await store.forceRelease('k');
        fences.push(await nextFence('k'));
        await store.acquire('k', lease(alice, SHORT_MS));
        await setup.pass(SHORT_MS + 20);
        fences.push(await nextFence('k'));
        await setup.loseData();
        fences.push(await nextFence('k'), await nextFence('k'));
        expect(fences).toEqual([...new Set(fences)].sort((a, b) => a - b));
        expect(fences.every(Number.isSafeInteger)).toBe(true);
      });
    }

    describe('queue', () => {
      const carol = newToken();
      const dave = newToken();
      const heard: (string | undefined)[] = [];
      beforeAll(() => store.listen((token) => heard.push(token)));
      beforeEach(() => void (heard.length = 0));

      it('hands the key to who asked first, whoever came first, and tells only that one', async () => {
        await store.acquire('k', lease(alice, LONG_MS));
        expect(await store.acquire('k', lease(bob, LONG_MS), turn(0))).toMatchObject({ kind: 'held' });
        expect(await store.acquire('k', lease(carol, LONG_MS), turn(1_000))).toMatchObject({ kind: 'held' });
        await store.release('k', alice);
        await eventually(() => heard.length > 0);
        expect(heard).toEqual([carol]);
        expect(await store.acquire('k', lease(bob, LONG_MS), turn(0))).toMatchObject({ kind: 'held' });
        expect(await store.acquire('k', lease(carol, LONG_MS), turn(1_000))).toMatchObject({ kind: 'acquired' });
        await store.release('k', carol);
        await eventually(() => heard.length > 1);
        expect(heard).toEqual([carol, bob]);
      });

      it('keeps the place of who asks again', async () => {
        await store.acquire('k', lease(alice, LONG_MS));
        await store.acquire('k', lease(bob, LONG_MS), turn(200));
        await store.acquire('k', lease(carol, LONG_MS), turn(100));
        await store.acquire('k', lease(bob, LONG_MS), turn(200));
        await store.release('k', alice);
        expect(await store.acquire('k', lease(bob, LONG_MS), turn(200))).toMatchObject({ kind: 'acquired' });
        expect(await store.release('k', bob)).toBe(true);
        expect(await store.acquire('k', lease(carol, LONG_MS), turn(100))).toMatchObject({ kind: 'acquired' });
      });

      it('is left by who releases without having been served', async () => {
        await store.acquire('k', lease(alice, LONG_MS));
        await store.acquire('k', lease(bob, LONG_MS), turn(0));
        expect(await store.release('k', bob)).toBe(false);
        expect(await store.isHeld('k')).toBe(true);
        await store.release('k', alice);
        expect(await store.isHeld('k')).toBe(false);
        expect(heard).toEqual([]);
      });

      it('is served when a lease is ended by force', async () => {
        await store.acquire('k', lease(alice, LONG_MS));
        await store.acquire('k', lease(bob, LONG_MS), turn(0));
        expect(await store.forceRelease('k')).toBe(true);
        expect(await store.acquire('k', lease(bob, LONG_MS), turn(0))).toMatchObject({ kind: 'acquired' });
        expect(await store.extend('k', alice, LONG_MS)).toBe(false);
      });

      it('is skipped by a hand-over to who asked next to nothing later, and by nobody else', async () => {
        const { fence } = (await store.acquire('k', lease(alice, LONG_MS))) as { fence: number };
        await store.acquire('k', lease(bob, LONG_MS), turn(500));
        const first = await store.handOver('k', alice, lease(carol, LONG_MS), turn(500 - SLACK_MS / 2));
        expect(first).toEqual({ wasHeld: true, next: { kind: 'acquired', fence: expect.any(Number) as number } });
        expect((first.next as { fence: number }).fence).toBeGreaterThan(fence);
        const second = await store.handOver('k', carol, lease(dave, LONG_MS), turn(100));
        expect(second).toMatchObject({ wasHeld: true, next: { kind: 'held' } });
        expect(await store.acquire('k', lease(bob, LONG_MS), turn(500))).toMatchObject({ kind: 'acquired' });
        await store.release('k', bob);
        expect(await store.acquire('k', lease(dave, LONG_MS), turn(100))).toMatchObject({ kind: 'acquired' });
      });

      it('is not skipped by a hand-over without a lease', async () => {
        await store.acquire('k', lease(alice, LONG_MS));
        const answer = await store.handOver('k', bob, lease(carol, LONG_MS), turn(0));
        expect(answer).toMatchObject({ wasHeld: false, next: { kind: 'held' } });
        expect(await store.extend('k', alice, LONG_MS)).toBe(true);
      });

      it('says "yours" to a hand-over that is repeated', async () => {
        await store.acquire('k', lease(alice, LONG_MS));
        const first = await store.handOver('k', alice, lease(bob, LONG_MS), turn(0));
        expect(await store.handOver('k', alice, lease(bob, LONG_MS), turn(0))).toEqual({ ...first, wasHeld: false });
      });

      if (isOnTime) {
        it('ends a lease that was handed over and not asked for', async () => {
          await store.acquire('k', lease(alice, LONG_MS));
          await store.acquire('k', lease(bob, LONG_MS), turn(0));
          await store.release('k', alice);
          expect(await store.isHeld('k')).toBe(true);
          await setup.pass(1_050);
          expect(await store.isHeld('k')).toBe(false);
        });

        it('gives a lease that was handed over its whole ttl when it is asked for', async () => {
          await store.acquire('k', lease(alice, LONG_MS));
          await store.acquire('k', lease(bob, LONG_MS), turn(0));
          await store.release('k', alice);
          await store.acquire('k', lease(bob, LONG_MS), turn(0));
          await setup.pass(1_050);
          expect(await store.extend('k', bob, LONG_MS)).toBe(true);
        });

        it('passes over who has not been heard of', async () => {
          await store.acquire('k', lease(alice, LONG_MS));
          await store.acquire('k', lease(bob, LONG_MS), { ...turn(1_000), keepMs: 100 });
          await store.acquire('k', lease(carol, LONG_MS), turn(0));
          await setup.pass(130);
          await store.release('k', alice);
          expect(await store.acquire('k', lease(carol, LONG_MS), turn(0))).toMatchObject({ kind: 'acquired' });
        });

        it('serves the queue before somebody who just tries, also when the lease ended by itself', async () => {
          await store.acquire('k', lease(alice, SHORT_MS));
          await store.acquire('k', lease(bob, LONG_MS), turn(0));
          await setup.pass(SHORT_MS + 20);
          expect(await store.acquire('k', lease(carol, LONG_MS))).toMatchObject({ kind: 'held' });
          expect(await store.acquire('k', lease(bob, LONG_MS), turn(0))).toMatchObject({ kind: 'acquired' });
        });
      }
    });

    describe('a lease that follows another one', () => {
      const [carol, dave] = [newToken(), newToken()];
      const after = (token: string, askedMsAgo = 0): Turn => ({ ...turn(askedMsAgo, 3), after: token });
      const granted = (outcome: unknown): number => (outcome as { fence: number }).fence;
      let fence: number;
      beforeEach(async () => void (fence = granted(await store.acquire('list:k', lease(alice, LONG_MS)))));

      it('waits for its holder, is not shown before, and runs as soon as that one is given back', async () => {
        const next = await store.acquire('list:k', lease(bob, LONG_MS), after(alice));
        expect(next).toEqual({ kind: 'next', fence: expect.any(Number) as number });
        expect(granted(next)).toBeGreaterThan(fence);
        expect(await store.acquire('list:k', lease(bob, LONG_MS), after(alice))).toEqual(next);
        expect((await store.list('list:*', undefined, 1)).items).toMatchObject([{ token: alice, fence, waiters: 3 }]);
        expect(await store.acquire('list:k', lease(carol, LONG_MS), turn(0))).toMatchObject({ kind: 'held' });
        expect(await store.release('list:k', alice)).toBe(true);
        expect((await store.list('list:*', undefined, 1)).items).toMatchObject([{ token: bob, waiters: 1 }]);
        expect(await store.acquire('list:k', lease(bob, LONG_MS))).toEqual({ ...next, kind: 'acquired' });
        expect(await store.release('list:k', bob)).toBe(true);
        expect(granted(await store.acquire('list:k', lease(carol, LONG_MS), turn(0)))).toBeGreaterThan(granted(next));
      });

      it('is given to one who asked next to nothing later than the queue, and to nobody else', async () => {
        await store.acquire('list:k', lease(carol, LONG_MS), turn(500));
        expect(await store.acquire('list:k', lease(bob, LONG_MS), after(alice, 100))).toMatchObject({ kind: 'held' });
        await store.acquire('list:l', lease(alice, LONG_MS));
        await store.acquire('list:l', lease(carol, LONG_MS), turn(500));
        expect(await store.acquire('list:l', lease(dave, LONG_MS), after(alice, 500))).toMatchObject({ kind: 'next' });
        await store.release('list:l', dave);
        await store.release('list:l', alice);
        expect(await store.acquire('list:l', lease(carol, LONG_MS), turn(500))).toMatchObject({ kind: 'acquired' });
      });

      it('is one, behind a holder who is known and alone', async () => {
        expect(await store.acquire('list:k', lease(bob, LONG_MS), after(dave))).toMatchObject({ kind: 'held' });
        expect(await store.acquire('list:k', lease(bob, LONG_MS, 2), after(alice))).toMatchObject({ kind: 'held' });
        expect(await store.acquire('list:k', lease(bob, LONG_MS), after(alice))).toMatchObject({ kind: 'next' });
        expect(await store.acquire('list:k', lease(carol, LONG_MS), after(alice))).toMatchObject({ kind: 'held' });
        await store.acquire('list:shared', lease(alice, LONG_MS, 2));
        expect(await store.acquire('list:shared', lease(bob, LONG_MS), after(alice))).toMatchObject({ kind: 'held' });
      });

      it('can be given while the one before it begins', async () => {
        const second = granted(await store.acquire('list:k', lease(bob, LONG_MS), after(alice)));
        const answer = await store.handOver('list:k', alice, lease(carol, LONG_MS), after(bob));
        expect(answer).toMatchObject({ wasHeld: true, next: { kind: 'next' } });
        expect(granted(answer.next)).toBeGreaterThan(second);
        const last = await store.handOver('list:k', bob, lease(carol, LONG_MS), turn(0));
        expect(last).toEqual({ wasHeld: true, next: { kind: 'acquired', fence: granted(answer.next) } });
      });

      it('is ended by force with the other one', async () => {
        await store.acquire('list:k', lease(bob, LONG_MS), after(alice));
        expect(await store.forceRelease('list:k')).toBe(true);
        expect(await store.isHeld('list:k')).toBe(false);
        expect(await store.extend('list:k', bob, LONG_MS)).toBe(false);
      });

      if (isOnTime) {
        it('outlasts the one before it', async () => {
          await store.release('list:k', alice);
          await store.acquire('list:k', lease(alice, SHORT_MS));
          await store.acquire('list:k', lease(bob, LONG_MS), after(alice));
          await setup.pass(SHORT_MS + 20);
          expect(await store.extend('list:k', alice, LONG_MS)).toBe(false);
          expect(await store.acquire('list:k', lease(carol, LONG_MS))).toMatchObject({ kind: 'held' });
          expect(await store.acquire('list:k', lease(bob, LONG_MS), after(alice))).toMatchObject({ kind: 'acquired' });
        });
      }
    });

    describe('shared leases', () => {
      const MANY = 100;
      const tokens = Array.from({ length: 4 }, newToken) as [string, string, string, string];

      it('are as many as each of their holders allows', async () => {
        const [a, b, c] = tokens;
        expect(await store.acquire('k', lease(a, LONG_MS, 2))).toMatchObject({ kind: 'acquired' });
        expect(await store.acquire('k', lease(b, LONG_MS, MANY))).toMatchObject({ kind: 'acquired' });
        expect(await store.acquire('k', lease(c, LONG_MS, MANY))).toMatchObject({ kind: 'held' });
        await store.release('k', a);
        expect(await store.acquire('k', lease(c, LONG_MS, MANY))).toMatchObject({ kind: 'acquired' });
      });

      it('exclude who wants to be alone, and are excluded by it', async () => {
        const [a, b, c] = tokens;
        await store.acquire('k', lease(a, LONG_MS, MANY));
        expect(await store.acquire('k', lease(b, LONG_MS))).toMatchObject({ kind: 'held' });
        await store.release('k', a);
        await store.acquire('k', lease(b, LONG_MS));
        expect(await store.acquire('k', lease(c, LONG_MS, MANY))).toMatchObject({ kind: 'held' });
      });

      it('do not let later readers starve a writer', async () => {
        const [reader, writer, late] = tokens;
        await store.acquire('k', lease(reader, LONG_MS, MANY));
        await store.acquire('k', lease(writer, LONG_MS), turn(100));
        expect(await store.acquire('k', lease(late, LONG_MS, MANY), turn(0))).toMatchObject({ kind: 'held' });
        expect(await store.acquire('k', lease(tokens[3], LONG_MS, MANY))).toMatchObject({ kind: 'held' });
        await store.release('k', reader);
        expect(await store.acquire('k', lease(writer, LONG_MS), turn(100))).toMatchObject({ kind: 'acquired' });
      });

      it('are handed to all who may hold the key together', async () => {
        const [writer, ...readers] = tokens;
        await store.acquire('k', lease(writer, LONG_MS));
        for (const reader of readers) await store.acquire('k', lease(reader, LONG_MS, MANY), turn(0));
        await store.release('k', writer);
        const fences = new Set<number>();
        for (const reader of readers) {
          const outcome = await store.acquire('k', lease(reader, LONG_MS, MANY), turn(0));
          if (outcome.kind === 'acquired') fences.add(outcome.fence);
        }
        expect(fences.size).toBe(readers.length);
      });

      it('are all ended by force', async () => {
        const [a, b, c] = tokens;
        await store.acquire('k', lease(a, LONG_MS, MANY));
        await store.acquire('k', lease(b, LONG_MS, MANY));
        expect(await store.forceRelease('k')).toBe(true);
        expect(await store.extend('k', b, LONG_MS)).toBe(false);
        expect(await store.acquire('k', lease(c, LONG_MS))).toMatchObject({ kind: 'acquired' });
      });

      it('say how long until one of them ends, or all, depending on what is wanted', async () => {
        const [a, b, c] = tokens;
        await store.acquire('k', lease(a, LONG_MS, 2));
        await store.acquire('k', lease(b, LONG_MS / 2, 2));
        const third = (await store.acquire('k', lease(c, LONG_MS, 2))) as { remainingMs: number };
        const alone = (await store.acquire('k', lease(c, LONG_MS))) as { remainingMs: number };
        expect(third.remainingMs).toBeLessThanOrEqual(LONG_MS / 2);
        expect(alone.remainingMs).toBeGreaterThan(LONG_MS / 2);
      });
    });

    it('gives a lease the fence it needs, and everybody after it a greater one', async () => {
      const { fence } = (await store.acquire('k', lease(alice, LONG_MS))) as { fence: number };
      const wanted = fence + 5_000_000;
      expect(await store.acquire('k', { ...lease(alice, LONG_MS), atLeast: wanted })).toEqual({
        kind: 'acquired',
        fence: wanted,
      });
      expect(await store.acquire('k', lease(alice, LONG_MS))).toMatchObject({ fence: wanted });
      await store.release('k', alice);
      expect(await nextFence('k')).toBeGreaterThan(wanted);
      expect(await store.acquire('b', { ...lease(bob, LONG_MS), atLeast: wanted + 9 })).toMatchObject({
        fence: wanted + 9,
      });
    });

    describe('list', () => {
      const names = Array.from({ length: 23 }, (_, index) => `list:${index}`);

      async function pages(glob: string, limit: number): Promise<string[][]> {
        const found: string[][] = [];
        let cursor: string | null | undefined;
        do {
          const page = await store.list(glob, cursor ?? undefined, limit);
          found.push(page.items.map(({ key }) => key));
          ({ cursor } = page);
        } while (cursor !== null);
        return found;
      }

      it('describes what is held', async () => {
        await store.acquire('list:1', lease(alice, LONG_MS));
        const { fence } = (await store.acquire('list:1', lease(alice, LONG_MS))) as { fence: number };
        await store.acquire('list:1', lease(bob, LONG_MS), turn(0, 3));
        await store.acquire('list:1', lease(newToken(), LONG_MS), turn(0, 2));
        const { items } = await store.list('list:*', undefined, 10);
        expect(items).toEqual([
          { key: 'list:1', token: alice, fence, waiters: 5, remainingMs: expect.any(Number) as number },
        ]);
        expect(items[0]!.remainingMs).toBeGreaterThan(LONG_MS / 2);
      });

      it.each([1, 5, 22, 23, 24, 1_000])('shows every held key on pages of %i at most', async (limit) => {
        await Promise.all(names.map(async (name) => store.acquire(name, lease(alice, LONG_MS))));
        const found = await pages('list:*', limit);
        expect(found.every((page) => page.length <= limit)).toBe(true);
        expect(found.flat().sort()).toEqual([...names].sort());
      });

      it('leaves out what is free again, and what does not match', async () => {
        await Promise.all(['list:1', 'list:2', 'k'].map(async (name) => store.acquire(name, lease(alice, LONG_MS))));
        await store.release('list:2', alice);
        expect(await pages('list:*', 10)).toEqual([['list:1']]);
      });
    });
  });
}
