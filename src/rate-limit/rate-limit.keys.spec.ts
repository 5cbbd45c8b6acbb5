import { tagOf } from './rate-limit.keys.ts';

describe('the subject in a key', () => {
  it('stands as it is where it may', () => {
    for (const subject of ['user:42', 'ip:2001:db8::/64', 'ünïcödé', 'a b\r\nDEL c'])
      expect(tagOf(subject)).toBe(subject);
  });

  it('is short and free of braces, whatever it is', () => {
    for (const subject of ['x'.repeat(10_000), 'a{b}c', '\ud800', '}{', '#']) {
      expect(tagOf(subject)).toMatch(/^[^{}]{0,40}#[0-9a-f]{64}$/);
    }
  });

  it('is that of nobody else', () => {
    const long = 'x'.repeat(10_000);
    // One that looks like the hash of another one is hashed itself.
    const subjects = [long, `${long}y`, tagOf(long), tagOf(tagOf(long)), 'a{b}', 'a{b', 'ab', '\ud800', '\ud801', '#'];
    expect(new Set(subjects.map(tagOf)).size).toBe(subjects.length);
  });
});
