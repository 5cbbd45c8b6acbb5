import fc from 'fast-check';
import { InvalidKeyError } from './errors.ts';
import { globMatcher } from './glob.ts';
import { encodeKeyPart, KEY_DEFAULTS, KeySpace } from './keys.ts';

const keys = new KeySpace(KEY_DEFAULTS);
const short = new KeySpace({ ...KEY_DEFAULTS, maxLength: 80 });
const asSent = (key: string) => Buffer.from(key).toString('hex');
/** Any text, lone surrogates and control characters included. */
const anyText = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)), maxLength: 150 });
const anyKey = anyText.filter((text) => text.trim() !== '');
const notText: readonly unknown[] = [
  undefined,
  null,
  0,
  NaN,
  1n,
  true,
  {},
  [],
  Symbol('key'),
  () => 'key',
  new Date(0),
];

describe('KeySpace', () => {
  it('puts prefix and version before a key', () => {
    expect(keys.full('profile:user:42')).toBe('app:v1:profile:user:42');
    expect(new KeySpace({ prefix: 'chat', version: '2', separator: '|', maxLength: 99 }).full('x')).toBe('chat|2|x');
  });

  it.each(notText)('refuses %p as a key and as a pattern', (value) => {
    expect(() => keys.full(value as string)).toThrow(InvalidKeyError);
    expect(() => keys.pattern(value as string)).toThrow(InvalidKeyError);
  });

  it.each(['', ' ', '\t\r\n', '\u00a0'])('refuses the blank text %j', (text) => {
    expect(() => keys.full(text)).toThrow(InvalidKeyError);
    expect(() => keys.pattern(text)).toThrow(InvalidKeyError);
    expect(() => keys.internal('lock', text)).toThrow(InvalidKeyError);
  });

  it.each(['x\r\nDEL y', 'a\0b', '__proto__', 'constructor', ' padded ', 'e\u0301', '\u00e9', '{tag}', '🙂'])(
    'takes %j as it is',
    (key) => {
      expect(keys.full(key)).toBe(`app:v1:${key}`);
      expect(keys.strip(keys.full(key))).toBe(key);
    },
  );

  it('keeps a key of exactly the longest length, and hashes a longer one within that length', () => {
    const longest = 'k'.repeat(250);
    expect(keys.full(longest)).toBe(`app:v1:${longest}`);
    const hashed = keys.strip(keys.full(`feed:user:42:${longest}`));
    expect(hashed).toMatch(/^feed:user:42:k+#[0-9a-f]{64}$/);
    expect(hashed).toHaveLength(250);
  });

  it('tells long keys apart that begin or end alike', () => {
    const base = 'k'.repeat(100_000);
    const full = [base, `${base}a`, `${base}b`, `a${base}`].map((key) => keys.full(key));
    expect(new Set(full).size).toBe(4);
  });

  it('does not take a key that looks like the hash of another for that one', () => {
    const hashed = keys.full('k'.repeat(300));
    expect(keys.full(keys.strip(hashed)!)).not.toBe(hashed);
  });

  it('never cuts a character in half', () => {
    const full = short.full('🙂'.repeat(60));
    expect(Buffer.from(full).toString()).toBe(full);
  });

  it('gives different keys different names, as they are sent', () => {
    fc.assert(
      fc.property(anyKey, anyKey, (one, other) => {
        expect(asSent(short.full(one)) === asSent(short.full(other))).toBe(one === other);
      }),
    );
    expect(asSent(short.full('\ud800'))).not.toBe(asSent(short.full('\udfff')));
    expect(asSent(short.full('\ud800'))).not.toBe(asSent(short.full('\ufffd')));
  });

  it('keeps what is internal out of reach of every pattern and key', () => {
    const lock = keys.internal('lock', 'order:1');
    expect(lock).toBe('app:v1@lock:order:1');
    expect(keys.internal('epoch')).toBe('app:v1@epoch');
    expect(keys.strip(lock)).toBeUndefined();
    for (const glob of ['*', '**', '?*', '@lock*', '*lock*', '\\*', '[^a]*']) {
      expect(globMatcher(keys.pattern(glob))(lock)).toBe(false);
    }
  });

  it('hashes long internal names too', () => {
    const name = 'r'.repeat(300);
    expect(keys.internal('tag', name)).toMatch(/^app:v1@tag:r+#[0-9a-f]{64}$/);
    expect(keys.internal('tag', name)).not.toBe(keys.internal('tag', `${name}r`));
  });

  it('confines a pattern to the prefix, whatever the prefix holds', () => {
    const odd = new KeySpace({ ...KEY_DEFAULTS, prefix: 'a*[b]?' });
    const matches = globMatcher(odd.pattern('*'));
    expect(matches(odd.full('x'))).toBe(true);
    expect(matches('axxb?:v1:x')).toBe(false);
    expect(keys.pattern('user:*')).toBe('app:v1:user:*');
  });

  it('strips only what is its own', () => {
    expect(keys.strip('app:v2:x')).toBeUndefined();
    expect(keys.strip('other')).toBeUndefined();
    expect(keys.strip('app:v1:a:b')).toBe('a:b');
  });

  it('never repeats a value in an error', () => {
    expect(() => keys.full(['secret'] as unknown as string)).toThrow('A key must be a string; received an array');
  });
});

describe('encodeKeyPart', () => {
  it('leaves what cannot be mistaken and encodes everything else', () => {
    expect(encodeKeyPart('2f1c-a_b.c~D')).toBe('2f1c-a_b.c~D');
    expect(encodeKeyPart("1:2*?[x]{y}\\%/ '!()@#|,é")).toMatch(/^[\w.~%-]+$/);
    expect(encodeKeyPart('a:é\ud800')).toBe('a%3A%C3%A9%uD800');
  });

  it('gives different texts different forms', () => {
    fc.assert(
      fc.property(anyText, anyText, (one, other) => {
        expect(encodeKeyPart(one) === encodeKeyPart(other)).toBe(one === other);
      }),
    );
  });
});
