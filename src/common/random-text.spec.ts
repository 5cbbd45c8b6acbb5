import { randomText } from './random-text.ts';

describe('randomText', () => {
  it('gives as many bytes as asked for', () => {
    expect(randomText(16, 'hex')).toMatch(/^[0-9a-f]{32}$/);
    expect(randomText(12, 'base64url')).toMatch(/^[\w-]{16}$/);
  });

  it('never gives the same text twice, also beyond what is held in store', () => {
    const texts = Array.from({ length: 5_000 }, (_, index) => randomText(index % 2 === 0 ? 12 : 16, 'hex'));
    expect(new Set(texts).size).toBe(5_000);
    expect(new Set(texts.map((text) => text.slice(0, 16))).size).toBe(5_000);
  });
});
