import fc from 'fast-check';
import { inspect } from 'node:util';
import { decode, parseForeign } from './codec.ts';
import { SerializationError } from './errors.ts';

const settle = (action: () => unknown): Error | undefined => {
  try {
    action();
    return undefined;
  } catch (error) {
    return error as Error;
  }
};

describe('decode', () => {
  const tree = (value: unknown) => JSON.stringify(value);

  it.each([
    ['j', 'secret'],
    ['j', ''],
    ['t', '["~xsecret"]'],
    ['t', '["~"]'],
    ['t', '["~isecret"]'],
    ['t', '["~lsecret"]'],
    ['t', '["~rg/(secret"]'],
    ['t', '["~asecret/AA=="]'],
    ['t', '["~atoString/AA=="]'],
    ['t', '["~aFloat64Array/AA=="]'],
    ['t', tree(['~e', 'Error'])],
    ['t', tree(['~e', 1, 2, {}])],
    ['t', '['.repeat(100_000) + ']'.repeat(100_000)],
    ['b', 'secret'],
    ['J', 'secret'],
    ['x', 'secret'],
    ['', 'secret'],
    ['jj', '1'],
  ])('refuses a payload that codec %j did not write, without repeating it', (codec, payload) => {
    const failure = settle(() => decode(codec, payload));
    expect(failure).toBeInstanceOf(Error);
    expect(failure).not.toBeInstanceOf(SerializationError);
    expect(inspect(failure)).not.toContain('secret');
  });

  it('refuses compressed garbage', () => {
    expect(() => decode('J', Buffer.from('secret'))).toThrow('not of codec "J"');
  });

  it('never fails in another way, whatever the payload', () => {
    const anyPayload = fc.oneof(
      fc.string(),
      fc.json(),
      fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    );
    fc.assert(
      fc.property(fc.constantFrom('s', 'j', 't', 'b', 'u', 'S', 'J', 'T', '~'), anyPayload, (codec, payload) => {
        const outcome = settle(() => decode(codec, payload));
        expect(outcome === undefined || outcome.message.includes('not of codec')).toBe(true);
      }),
    );
  });
});

describe('parseForeign', () => {
  it('reads what other programs write as JSON', () => {
    expect(parseForeign('{"a":[1,"~u"]}')).toEqual({ value: { a: [1, '~u'] } });
    expect(parseForeign(Buffer.from('42'))).toEqual({ value: 42 });
    expect(parseForeign('null')).toEqual({ value: null });
  });

  it.each(['', 'plain text', '{"a":', 'undefined', '\u0080\u0004'])('does not take %j for JSON', (foreign) => {
    expect(parseForeign(foreign)).toBeUndefined();
    expect(parseForeign(Buffer.from(foreign))).toBeUndefined();
  });

  it('does not run out of stack', () => {
    const depth = 50_000;
    expect(() => parseForeign(`${'['.repeat(depth)}"__proto__"${']'.repeat(depth)}`)).not.toThrow();
  });
});
