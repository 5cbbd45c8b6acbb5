import { createHash } from 'node:crypto';
import type { Claim, IdempotencyStore } from '../../src/idempotency/idempotency-store.interface.ts';
import { newToken } from '../../src/lock/lock-lease.ts';

/** A store under test, and the means to move its time and to take its data away. */
export interface IdempotencyStoreSetup {
  readonly store: IdempotencyStore;
  /** Lets this much of the store's time pass. */
  readonly pass: (ms: number) => Promise<void>;
  readonly close: () => Promise<void>;
}

const printOf = (text: string): string => createHash('sha256').update(text).digest('base64url');

/** A lease so long that it cannot end during a test, and one so short that a test can wait for its end. */
const LONG_MS = 60_000;
const SHORT_MS = 100;

const claimOf = (said = 'order', leaseMs = LONG_MS): Claim => ({
  token: newToken(),
  fingerprint: printOf(said),
  leaseMs,
});
const ANSWER = Buffer.from([0, 255, 10, 13, 65, 0]);

export function describeIdempotencyStoreContract(name: string, open: () => Promise<IdempotencyStoreSetup>): void {
  describe(`${name}: idempotent runs`, () => {
    let setup: IdempotencyStoreSetup;
    let store: IdempotencyStore;
    let names = 0;
    const fresh = () => `keep:v1@idempotency:${names++}`;

    beforeAll(async () => {
      setup = await open();
      store = setup.store;
    });
    afterAll(() => setup.close());

    it('grants one claim, and tells the others how long its lease lasts', async () => {
      const at = fresh();
      expect(await store.claim(at, claimOf())).toEqual({ kind: 'claimed' });
      const second = await store.claim(at, claimOf());
      expect(second).toEqual({ kind: 'running', remainingMs: expect.any(Number) as number });
      const { remainingMs } = second as { remainingMs: number };
      expect(remainingMs).toBeGreaterThan(LONG_MS - 30_000);
      expect(remainingMs).toBeLessThanOrEqual(LONG_MS);
    });

    it('grants one of fifty claims that come at once', async () => {
      const at = fresh();
      const outcomes = await Promise.all(Array.from({ length: 50 }, async () => store.claim(at, claimOf())));
      expect(outcomes.filter(({ kind }) => kind === 'claimed')).toHaveLength(1);
      expect(outcomes.filter(({ kind }) => kind === 'running')).toHaveLength(49);
    });

    it('grants a claim again to who asks again with its token', async () => {
      const at = fresh();
      const claim = claimOf();
      await store.claim(at, claim);
      expect(await store.claim(at, claim)).toEqual({ kind: 'claimed' });
      expect((await store.claim(at, claimOf())).kind).toBe('running');
    });

    it('answers with what the run has left, byte for byte', async () => {
      const at = fresh();
      const claim = claimOf();
      await store.claim(at, claim);
      expect(await store.complete(at, claim, ANSWER, LONG_MS)).toBe(true);
      expect(await store.claim(at, claimOf())).toEqual({ kind: 'answered', answer: ANSWER });
      // Who asks again for its own run has run, too.
      expect(await store.claim(at, claim)).toEqual({ kind: 'answered', answer: ANSWER });
    });

    it('keeps an empty answer', async () => {
      const at = fresh();
      const claim = claimOf();
      await store.claim(at, claim);
      await store.complete(at, claim, Buffer.alloc(0), LONG_MS);
      expect(await store.claim(at, claimOf())).toEqual({ kind: 'answered', answer: Buffer.alloc(0) });
    });

    it('tells another request under the same name, while the first runs and after it', async () => {
      const at = fresh();
      const claim = claimOf('one');
      await store.claim(at, claim);
      expect(await store.claim(at, claimOf('two'))).toEqual({ kind: 'mismatch' });
      await store.complete(at, claim, ANSWER, LONG_MS);
      expect(await store.claim(at, claimOf('two'))).toEqual({ kind: 'mismatch' });
    });

    it('grants a name again that was released, by its own run only', async () => {
      const at = fresh();
      const claim = claimOf();
      await store.claim(at, claim);
      expect(await store.release(at, newToken())).toBe(false);
      expect((await store.claim(at, claimOf())).kind).toBe('running');
      expect(await store.release(at, claim.token)).toBe(true);
      expect(await store.release(at, claim.token)).toBe(false);
      expect(await store.claim(at, claimOf('another'))).toEqual({ kind: 'claimed' });
    });

    it('does not release what was answered', async () => {
      const at = fresh();
      const claim = claimOf();
      await store.claim(at, claim);
      await store.complete(at, claim, ANSWER, LONG_MS);
      expect(await store.release(at, claim.token)).toBe(false);
      expect((await store.claim(at, claimOf())).kind).toBe('answered');
    });

    it('grants a name again when the lease has ended', async () => {
      const at = fresh();
      await store.claim(at, claimOf('order', SHORT_MS));
      await setup.pass(SHORT_MS + 50);
      expect(await store.claim(at, claimOf())).toEqual({ kind: 'claimed' });
    });

    it('keeps a name for as long as its lease is renewed', async () => {
      const at = fresh();
      const claim = claimOf('order', SHORT_MS);
      await store.claim(at, claim);
      expect(await store.renew(at, { ...claim, leaseMs: LONG_MS })).toBe(true);
      await setup.pass(SHORT_MS + 50);
      expect((await store.claim(at, claimOf())).kind).toBe('running');
    });

    it('takes a name up again whose lease has ended, unless somebody has come in between', async () => {
      const [at, taken] = [fresh(), fresh()];
      const [claim, late, next] = [claimOf('order', SHORT_MS), claimOf('order', SHORT_MS), claimOf()];
      await store.claim(at, claim);
      await store.claim(taken, late);
      await setup.pass(SHORT_MS + 50);
      await store.claim(taken, next);
      expect(await store.renew(at, claim)).toBe(true);
      expect((await store.claim(at, claimOf())).kind).toBe('running');
      expect(await store.renew(taken, late)).toBe(false);
      expect(await store.complete(taken, next, ANSWER, LONG_MS)).toBe(true);
    });

    it('lets nobody who comes late overwrite a newer run, nor its answer', async () => {
      const at = fresh();
      const [late, next] = [claimOf('order', SHORT_MS), claimOf()];
      await store.claim(at, late);
      await setup.pass(SHORT_MS + 50);
      await store.claim(at, next);
      const OLD = Buffer.from('old');
      expect(await store.complete(at, late, OLD, LONG_MS)).toBe(false);
      expect(await store.release(at, late.token)).toBe(false);
      await store.complete(at, next, ANSWER, LONG_MS);
      expect(await store.complete(at, late, OLD, LONG_MS)).toBe(false);
      expect(await store.renew(at, late)).toBe(false);
      expect(await store.claim(at, claimOf())).toEqual({ kind: 'answered', answer: ANSWER });
    });

    it('keeps an answer that comes after the lease when nobody else has come', async () => {
      const at = fresh();
      const claim = claimOf('order', SHORT_MS);
      await store.claim(at, claim);
      await setup.pass(SHORT_MS + 50);
      expect(await store.complete(at, claim, ANSWER, LONG_MS)).toBe(true);
      expect(await store.complete(at, claim, ANSWER, LONG_MS)).toBe(true);
      expect(await store.claim(at, claimOf())).toEqual({ kind: 'answered', answer: ANSWER });
    });

    it('does not turn an answer into a run again', async () => {
      const at = fresh();
      const claim = claimOf();
      await store.claim(at, claim);
      await store.complete(at, claim, ANSWER, LONG_MS);
      expect(await store.renew(at, claim)).toBe(false);
      expect((await store.claim(at, claimOf())).kind).toBe('answered');
    });

    it('forgets an answer after its time', async () => {
      const at = fresh();
      const claim = claimOf();
      await store.claim(at, claim);
      await store.complete(at, claim, ANSWER, SHORT_MS);
      await setup.pass(SHORT_MS + 50);
      expect(await store.claim(at, claimOf('another'))).toEqual({ kind: 'claimed' });
    });

    it('keeps names apart', async () => {
      expect(await store.claim(fresh(), claimOf())).toEqual({ kind: 'claimed' });
      expect(await store.claim(fresh(), claimOf())).toEqual({ kind: 'claimed' });
    });
  });
}
