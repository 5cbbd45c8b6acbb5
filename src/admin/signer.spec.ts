import crypto from 'node:crypto';
import { areSame, Signer } from './signer.ts';

const signer = new Signer('a-long-admin-token');
const ACT = ['ann', 'pattern', 'a:*', 'delete'];
const NOW = 1_000_000;

it('takes its own cursor, for the question it was made for', () => {
  const cursor = signer.cursor('after-a', ['keys', 'a:*']);
  expect(signer.position(cursor, ['keys', 'a:*'])).toBe('after-a');
  expect(signer.position(cursor, ['keys', 'b:*'])).toBeUndefined();
  expect(new Signer('another-long-token').position(cursor, ['keys', 'a:*'])).toBeUndefined();
  expect(signer.position(`${cursor}=`, ['keys', 'a:*'])).toBeUndefined();
  for (let at = 0; at < cursor.length; at += 7) {
    const forged = cursor.slice(0, at) + (cursor[at] === 'A' ? 'B' : 'A') + cursor.slice(at + 1);
    expect(signer.position(forged, ['keys', 'a:*'])).toBeUndefined();
  }
});

it('confirms one act of one actor for a minute', () => {
  const confirmation = signer.confirmation(ACT, NOW);
  expect(signer.isConfirmed(confirmation, ACT, NOW + 60_000)).toBe(true);
  expect(signer.isConfirmed(confirmation, ACT, NOW + 60_001)).toBe(false);
  // One from the future would be good for longer.
  expect(signer.isConfirmed(confirmation, ACT, NOW - 1)).toBe(false);
  expect(signer.isConfirmed(confirmation, ['bob', ...ACT.slice(1)], NOW)).toBe(false);
  expect(new Signer('another-long-token').isConfirmed(confirmation, ACT, NOW)).toBe(false);
});

it('compares texts of any length', () => {
  expect(areSame('token', 'token')).toBe(true);
  for (const other of ['', 'toke', 'tokens', 'TOKEN']) expect(areSame('token', other)).toBe(false);
});

it('compares hashes of one length in constant time, however early or late two texts differ', () => {
  const compared = jest.spyOn(crypto, 'timingSafeEqual');
  const others = [
    '',
    'b',
    'a'.repeat(23),
    `${'a'.repeat(23)}b`,
    `b${'a'.repeat(23)}`,
    'a'.repeat(5_000),
    'é'.repeat(24),
  ];
  for (const other of others) areSame('a'.repeat(24), other);
  const sizes = compared.mock.calls.map((pair) => pair.map(({ byteLength }) => byteLength));
  compared.mockRestore();
  expect(sizes).toEqual(others.map(() => [32, 32]));
});

it('takes no longer for a text that is nearly right', () => {
  const token = 'a'.repeat(32);
  const tries = ['b'.repeat(32), `${'a'.repeat(31)}b`, 'a'.repeat(31)];
  const best = tries.map(() => Infinity);
  // The best of many rounds that take turns: whatever else the machine does makes all of them slower.
  for (let round = 0; round < 60; round++) {
    for (const [at, text] of tries.entries()) {
      const startedAt = performance.now();
      for (let times = 0; times < 200; times++) areSame(text, token);
      best[at] = Math.min(best[at]!, performance.now() - startedAt);
    }
  }
  expect(Math.max(...best) / Math.min(...best)).toBeLessThan(2);
});

it('names what is not shown the same everywhere, and shows nothing of it', () => {
  expect(signer.pseudonym('ann')).toBe(new Signer('a-long-admin-token').pseudonym('ann'));
  expect(signer.pseudonym('ann')).toMatch(/^[0-9a-f]{16}$/);
  expect(new Signer(null).pseudonym('ann')).not.toBe(new Signer(null).pseudonym('ann'));
});
