import { randomBytes } from 'node:crypto';
import type { LockStore } from '../../src/lock/lock-store.interface.ts';

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

/** A lease so long that it cannot end during a test, and one so short that a test can wait for its end. */
const LONG_MS = 60_000;
const SHORT_MS = 300;

export function describeLockStoreContract(name: string, open: () => Promise<LockStoreSetup>): void {
  describe(`${name}: leases`, () => {
    let setup: LockStoreSetup;
    let store: LockStore;
    const alice = newToken();
    const bob = newToken();

    /** A fence of `key`, taken and given back at once. */
    async function nextFence(key: string): Promise<number> {
      const token = newToken();
      const outcome = await store.acquire(key, token, LONG_MS);
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
      expect(await store.acquire('k', alice, LONG_MS)).toEqual({
        kind: 'acquired',
        fence: expect.any(Number) as number,
      });
      const refused = await store.acquire('k', bob, LONG_MS);
      expect(refused).toEqual({ kind: 'held', remainingMs: expect.any(Number) as number });
      expect((refused as { remainingMs: number }).remainingMs).toBeGreaterThan(LONG_MS / 2);
      expect((refused as { remainingMs: number }).remainingMs).toBeLessThanOrEqual(LONG_MS);
    });

    it('keeps the leases of different keys apart', async () => {
      await store.acquire('a', alice, LONG_MS);
      expect(await store.acquire('b', bob, LONG_MS)).toMatchObject({ kind: 'acquired' });
      expect(await store.release('b', alice)).toBe(false);
      expect(await store.isHeld('b')).toBe(true);
    });

    it('says "yours" to a token that asks again, with the same fence', async () => {
      const first = await store.acquire('k', alice, LONG_MS);
      expect(await store.acquire('k', alice, LONG_MS)).toEqual(first);
      expect(await store.acquire('k', bob, LONG_MS)).toMatchObject({ kind: 'held' });
    });

    it('gives a token that asks again its whole ttl', async () => {
      await store.acquire('k', alice, SHORT_MS);
      await store.acquire('k', alice, LONG_MS);
      await setup.pass(SHORT_MS + 20);
      expect(await store.isHeld('k')).toBe(true);
    });

    it('lets one of many simultaneous callers in', async () => {
      const outcomes = await Promise.all(
        Array.from({ length: 50 }, async () => store.acquire('k', newToken(), LONG_MS)),
      );
      expect(outcomes.filter((outcome) => outcome.kind === 'acquired')).toHaveLength(1);
    });

    it('frees the key when its holder releases it, once', async () => {
      await store.acquire('k', alice, LONG_MS);
      expect(await store.release('k', alice)).toBe(true);
      expect(await store.isHeld('k')).toBe(false);
      expect(await store.release('k', alice)).toBe(false);
      expect(await store.acquire('k', bob, LONG_MS)).toMatchObject({ kind: 'acquired' });
    });

    it.each([['a foreign token', newToken()] as const, ['an empty token', ''] as const])(
      'changes nothing when released with %s',
      async (_, token) => {
        await store.acquire('k', alice, LONG_MS);
        expect(await store.release('k', token)).toBe(false);
        expect(await store.acquire('k', bob, LONG_MS)).toMatchObject({ kind: 'held' });
        expect(await store.release('k', alice)).toBe(true);
      },
    );

    it('releases nothing when nothing is held', async () => {
      expect(await store.release('k', alice)).toBe(false);
      expect(await store.forceRelease('k')).toBe(false);
      expect(await store.isHeld('k')).toBe(false);
    });

    it('ends a lease after its ttl, for its holder too', async () => {
      await store.acquire('k', alice, SHORT_MS);
      await setup.pass(SHORT_MS + 20);
      expect(await store.isHeld('k')).toBe(false);
      expect(await store.extend('k', alice, LONG_MS)).toBe(false);
      expect(await store.release('k', alice)).toBe(false);
      expect(await store.forceRelease('k')).toBe(false);
    });

    it('does not let the late holder release or extend the lease of the next one', async () => {
      await store.acquire('k', alice, SHORT_MS);
      await setup.pass(SHORT_MS + 20);
      await store.acquire('k', bob, LONG_MS);
      expect(await store.release('k', alice)).toBe(false);
      expect(await store.extend('k', alice, LONG_MS)).toBe(false);
      expect(await store.release('k', bob)).toBe(true);
    });

    it('extends a lease from now on', async () => {
      await store.acquire('k', alice, SHORT_MS);
      expect(await store.extend('k', alice, LONG_MS)).toBe(true);
      await setup.pass(SHORT_MS + 20);
      expect(await store.acquire('k', bob, LONG_MS)).toMatchObject({ kind: 'held' });
    });

    it('never shortens a lease by extending it', async () => {
      await store.acquire('k', alice, LONG_MS);
      expect(await store.extend('k', alice, SHORT_MS)).toBe(true);
      await setup.pass(SHORT_MS + 20);
      expect(await store.isHeld('k')).toBe(true);
    });

    it('extends nothing for a foreign token, nor what was released', async () => {
      await store.acquire('k', alice, LONG_MS);
      expect(await store.extend('k', bob, LONG_MS)).toBe(false);
      await store.release('k', alice);
      expect(await store.extend('k', alice, LONG_MS)).toBe(false);
      expect(await store.isHeld('k')).toBe(false);
    });

    it('is released by force whoever holds it', async () => {
      await store.acquire('k', alice, LONG_MS);
      expect(await store.forceRelease('k')).toBe(true);
      expect(await store.extend('k', alice, LONG_MS)).toBe(false);
      expect(await store.acquire('k', bob, LONG_MS)).toMatchObject({ kind: 'acquired' });
    });

    it('gives a greater fence after a release, a forced release, an expiry and a loss of all data', async () => {
      const fences = [await nextFence('k'), await nextFence('k')];
      await store.acquire('k', alice, LONG_MS);
      await store.forceRelease('k');
      fences.push(await nextFence('k'));
      await store.acquire('k', alice, SHORT_MS);
      await setup.pass(SHORT_MS + 20);
      fences.push(await nextFence('k'));
      await setup.loseData();
      fences.push(await nextFence('k'), await nextFence('k'));
      expect(fences).toEqual([...new Set(fences)].sort((a, b) => a - b));
      expect(fences.every(Number.isSafeInteger)).toBe(true);
    });

    it('gives a greater fence to each of many holders in quick succession', async () => {
      const fences: number[] = [];
      for (let i = 0; i < 200; i++) fences.push(await nextFence('k'));
      expect(fences).toEqual([...new Set(fences)].sort((a, b) => a - b));
    });

    it.each(['__proto__', 'constructor', 'a\r\nDEL k', '{tag}', 'k*'])('treats %j as any other key', async (key) => {
      await store.acquire('k', alice, LONG_MS);
      expect(await store.acquire(key, bob, LONG_MS)).toMatchObject({ kind: 'acquired' });
      expect(await store.release(key, bob)).toBe(true);
      expect(await store.isHeld('k')).toBe(true);
    });
  });
}
