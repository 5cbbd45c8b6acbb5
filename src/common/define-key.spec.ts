import fc from 'fast-check';
import { defineKey, type KeyPart, pattern } from './define-key.ts';
import { InvalidKeyError } from './errors.ts';
import { globMatcher } from './glob.ts';

const anyText = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) });
const awkwardText = fc.string({
  unit: fc.constantFrom('a', '1', ':', '-', '.', '_', '~', '%', 'u', '*', '{', '\ud800'),
});
const id = fc.oneof(anyText, awkwardText);
const nothing = [undefined, null, NaN, Infinity, {}, [], Symbol('id'), () => 1, new Date(NaN)];
/** As a caller without types, or with a wrong one, hands it over. */
const untyped = (value: unknown) => value as KeyPart;

describe('defineKey', () => {
  const userProfile = defineKey('profile:user:{userId}');
  const feedPage = defineKey('feed:{userId}:page:{page}');

  it('builds a key, a pattern and reads a key back', () => {
    expect(userProfile({ userId: 42 })).toBe('profile:user:42');
    expect(userProfile.pattern()).toBe('profile:user:*');
    expect(userProfile.parse('profile:user:42')).toEqual({ userId: '42' });
    expect(defineKey('settings')()).toBe('settings');
    expect(defineKey('settings').parse('settings')).toEqual({});
  });

  it.each([
    [0, '0'],
    [-0, '0'],
    [1.5, '1.5'],
    [1e21, '1e%2B21'],
    [12345678901234567890n, '12345678901234567890'],
    [true, 'true'],
    ['1', '1'],
    ['null', 'null'],
    ['', ''],
    [new Date(0), '1970-01-01T00%3A00%3A00.000Z'],
  ])('writes %p as %j', (userId, text) => {
    expect(userProfile({ userId })).toBe(`profile:user:${text}`);
  });

  it.each(nothing)('refuses %p as a parameter', (value) => {
    expect(() => userProfile({ userId: untyped(value) })).toThrow(InvalidKeyError);
    expect(() => userProfile.pattern({ userId: untyped(value) })).toThrow(InvalidKeyError);
  });

  it('names a missing parameter, not its value', () => {
    expect(() => feedPage({ userId: 1, page: untyped(['secret']) })).toThrow(
      "{page} of 'feed:{userId}:page:{page}' must be text, a finite number, a boolean or a date; received an array",
    );
    expect(() => feedPage({ userId: 1 } as never)).toThrow(/\{page\}.*undefined/);
    expect(() => defineKey('{constructor}')({} as never)).toThrow(InvalidKeyError);
  });

  it('does not let one parameter run into the next', () => {
    const key = defineKey('{a}:{b}:{c}');
    expect(key({ a: 'u', b: '1:2', c: '3' })).not.toBe(key({ a: 'u', b: '1', c: '2:3' }));
    const dashed = defineKey('{a}-{b}');
    expect(dashed({ a: '1-2', b: '3' })).not.toBe(dashed({ a: '1', b: '2-3' }));
    expect(dashed({ a: '1.2', b: 'x_y' })).toBe('1.2-x_y');
  });

  it.each(['{a}:{b}', 'x:{a}:page:{b}:y', '{a}-{b}', '{a}_x.{b}', '{a}.{b}', 'a~{a}~b~{b}~', '{b}|{a}', '{a}%:{b}'])(
    'is reversible for any parameters of %j',
    (template) => {
      const key = defineKey(template);
      fc.assert(fc.property(id, id, (a, b) => expect(key.parse(key({ a, b }))).toEqual({ a, b })));
    },
  );

  it.each(['{a}{b}', '{a}x{b}', '{a}%{b}', '{a', 'a}', '{}', '{{a}}', 'x:{a}:{'])(
    'refuses the template %j',
    (template) => {
      expect(() => defineKey(template)).toThrow(InvalidKeyError);
    },
  );

  it.each([
    'profile:user:',
    'profile:user:a:b',
    'profile:user:%41',
    'profile:user:%',
    'profile:user:%uD8',
    'Profile:user:1',
  ])('parses %j only if it would build it', (key) => {
    const parsed = userProfile.parse(key);
    expect(parsed === undefined || userProfile(parsed) === key).toBe(true);
    expect(parsed === undefined).toBe(key !== 'profile:user:');
  });

  it('parses a repeated parameter only where both agree', () => {
    const key = defineKey('{id}:copy:{id}');
    expect(key.parse('1:copy:1')).toEqual({ id: '1' });
    expect(key.parse('1:copy:2')).toBeUndefined();
  });

  it('takes __proto__ for an ordinary name', () => {
    const key = defineKey('x:{__proto__}');
    expect(key.parse('x:1')).toEqual(Object.fromEntries([['__proto__', '1']]));
    expect(Object.getPrototypeOf(key.parse('x:1'))).toBe(Object.prototype);
  });

  it('makes patterns in which given parameters are fixed', () => {
    expect(feedPage.pattern()).toBe('feed:*:page:*');
    expect(feedPage.pattern({ userId: 42 })).toBe('feed:42:page:*');
    expect(feedPage.pattern({ page: '*' })).toBe('feed:*:page:%2A');
    expect(defineKey('a*[b]:{id}').pattern()).toBe('a\\*\\[b\\]:*');
  });

  it('makes patterns that find exactly the keys of the given parameter', () => {
    fc.assert(
      fc.property(id, id, id, (userId, otherId, page) => {
        const matches = globMatcher(feedPage.pattern({ userId }));
        expect(matches(feedPage({ userId, page }))).toBe(true);
        expect(matches(feedPage({ userId: otherId, page }))).toBe(userId === otherId);
      }),
    );
  });
});

describe('pattern', () => {
  it('finds keys that were put together by hand', () => {
    const matches = globMatcher(pattern`feed:user:${'a b/é'}:*`);
    expect(matches('feed:user:a b/é:page:1')).toBe(true);
    expect(matches('feed:user:other:page:1')).toBe(false);
  });

  it('takes an interpolated value literally, whatever it holds', () => {
    expect(pattern`feed:user:${'*'}:*`).toBe('feed:user:\\*:*');
    fc.assert(
      fc.property(id, id, (userId, otherId) => {
        const matches = globMatcher(pattern`feed:${userId}`);
        expect(matches(`feed:${otherId}`)).toBe(Buffer.from(userId).equals(Buffer.from(otherId)));
      }),
    );
  });

  it('leaves escapes of the literal parts to the glob', () => {
    expect(pattern`a\*b:${1}:[0-9]?`).toBe('a\\*b:1:[0-9]?');
  });

  it.each(nothing)('refuses %p as a value', (value) => {
    expect(() => pattern`feed:${untyped(value)}:*`).toThrow(InvalidKeyError);
  });
});
