import fc from 'fast-check';
import { inspect } from 'node:util';
import { runInNewContext } from 'node:vm';
import { type CodecOptions, decode, encode, type Encoded } from './codec.ts';

const ROOMY: CodecOptions = { maxBytes: 1024 ** 2, compressAboveBytes: Infinity };

function encoded(value: unknown, options = ROOMY): Encoded {
  const result = encode(value, options);
  if (result.codec === undefined) throw new Error(`too large: ${result.bytes}`);
  return result;
}

/** To the server and back: text travels as UTF-8. */
function roundTrip(value: unknown, options = ROOMY): unknown {
  const { codec, payload } = encoded(value, options);
  return decode(codec, Buffer.from(payload));
}

const anyText = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) });
const text = fc.oneof(fc.string(), anyText, fc.constantFrom('~', '~~', '~u', '~d0', '~m', '~s', '~e', '~n-0', 'proto'));
const bytes = fc.uint8Array().map((array) => Buffer.from(array));
const leaf = fc.oneof(
  text,
  fc.oneof(fc.double(), fc.integer(), fc.constantFrom(NaN, Infinity, -Infinity, -0, 2 ** 53, 5e-324)),
  fc.oneof(fc.boolean(), fc.constantFrom(null, undefined)),
  fc.bigInt(),
  fc.date({ noInvalidDate: true }),
  fc.oneof(bytes, fc.uint8Array(), fc.float64Array(), fc.int16Array(), fc.bigInt64Array()),
  fc.webUrl().map((url) => new URL(url)),
  fc.constantFrom(/a\/b/gi, /(?:)/, /[/]\n/u),
  fc.tuple(fc.constantFrom(Error, TypeError, RangeError), text).map(([Type, message]) => new Type(message)),
);
const property = text.filter((name) => name !== '__proto__' && name !== 'prototype');
const anyTree = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 4, depthSize: 'small' },
    leaf,
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.dictionary(property, tie('tree'), { maxKeys: 4, noNullPrototype: true }),
    fc.array(fc.tuple(tie('tree'), tie('tree')), { maxLength: 3 }).map((entries) => new Map(entries)),
    fc.array(tie('tree'), { maxLength: 3 }).map((items) => new Set(items)),
  ),
})).tree;
const anyValue = anyTree.filter((value) => value !== undefined);

describe('encode and decode', () => {
  it('give back any value of the supported types, however nested', () => {
    fc.assert(
      fc.property(anyValue, (value) => expect(roundTrip(value)).toStrictEqual(value)),
      { numRuns: 500 },
    );
  });

  it('accept whatever fits, to the byte', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const { bytes } = encoded(value);
        expect(encode(value, { ...ROOMY, maxBytes: bytes })).toMatchObject({ bytes });
        expect(encode(value, { ...ROOMY, maxBytes: bytes - 1 }).codec).toBeUndefined();
      }),
    );
    const Instance = class {
      toJSON = () => 'x';
    };
    const instances = Array.from({ length: 20 }, () => new Instance());
    expect(encode(instances, { ...ROOMY, maxBytes: 81 })).toMatchObject({ bytes: 81 });
  });

  it.each([
    ['a Date', new Date(1_700_000_000_000)],
    ['a Map', new Map<unknown, unknown>([[{ a: 1 }, new Map([[1n, new Date(0)]])]])],
    ['a Set', new Set<unknown>([1, '1', undefined, NaN])],
    ['a bigint', 5n],
    ['a bigint beyond 64 bits', -(2n ** 200n)],
    ['an integer beyond 32 bits', 2 ** 40 + 1],
    ['NaN', NaN],
    ['-Infinity', -Infinity],
    ['-0', -0],
    ['null', null],
    ['false', false],
    ['an empty text', ''],
    ['text beyond UTF-8', '\ud800~'],
    ['text beyond UTF-16 units', '🙂 é'],
    ['undefined in an object', { a: undefined }],
    ['undefined in an array', [undefined, null]],
    ['a Buffer', Buffer.from([0, 255, 128])],
    ['a Uint8Array', new Uint8Array([0, 255])],
    ['a part of a larger buffer', new Uint16Array(new Uint8Array([9, 9, 1, 2, 3, 4]).buffer, 2, 2)],
    ['an ArrayBuffer', new Uint8Array([1, 2, 3]).buffer],
    ['a DataView', new DataView(new Uint8Array([1, 2, 3]).buffer)],
    ['a RegExp', /a\/b~/giu],
    ['a URL', new URL('https://user@example.org/a?b=ü#c')],
    ['a key named constructor', { constructor: 'Ferrari', toString: 'x', hasOwnProperty: 1 }],
  ])('keep %s, at the top and inside', (_, value) => {
    expect(roundTrip(value)).toStrictEqual(value);
    expect(roundTrip({ inside: [value] })).toStrictEqual({ inside: [value] });
  });

  it('keep an invalid Date', () => {
    expect(roundTrip([new Date(NaN)])).toEqual([expect.any(Date)]);
    expect(String(roundTrip(new Date(NaN)))).toBe('Invalid Date');
  });

  it('tell Buffer from Uint8Array, which compare as equal', () => {
    const [buffer, array] = roundTrip([Buffer.from('a'), new Uint8Array([97])]) as [unknown, unknown];
    expect([Buffer.isBuffer(buffer), Buffer.isBuffer(array)]).toEqual([true, false]);
    expect([Buffer.isBuffer(roundTrip(Buffer.from('a'))), Buffer.isBuffer(roundTrip(new Uint8Array(1)))]).toEqual([
      true,
      false,
    ]);
  });

  it('keep class, name, message, cause and fields of an error, and drop its stack', () => {
    const cause = new AggregateError([new RangeError('inner')], 'several');
    const error = Object.assign(new TypeError('~outer', { cause }), { code: 'E_OUTER', at: new Date(0) });
    const copy = roundTrip(error) as typeof error;
    expect(copy).toBeInstanceOf(TypeError);
    expect(copy).toStrictEqual(error);
    expect([copy.code, copy.at, Object.keys(copy)]).toEqual(['E_OUTER', new Date(0), ['code', 'at']]);
    expect(copy.cause).toBeInstanceOf(AggregateError);
    expect((copy.cause as AggregateError).errors).toStrictEqual([new RangeError('inner')]);
    expect(copy.stack).toBe('TypeError: ~outer');
  });

  it('keep the name of an error whose class is not known', () => {
    class PaymentError extends Error {
      override readonly name = 'PaymentError';
    }
    const copy = roundTrip({ error: new PaymentError('declined') }) as { error: Error };
    expect([copy.error instanceof Error, copy.error.name, String(copy.error)]).toEqual([
      true,
      'PaymentError',
      'PaymentError: declined',
    ]);
    expect(roundTrip(new DOMException('stopped', 'AbortError'))).toMatchObject({
      name: 'AbortError',
      message: 'stopped',
    });
  });

  it('recognise values of another realm', () => {
    const value: unknown = runInNewContext(
      '({ date: new Date(0), map: new Map([[1, new Set([2n])]]), error: new Error("e"), list: [/x/g], bytes: new Uint8Array([1]) })',
    );
    expect(roundTrip(value)).toEqual({
      date: new Date(0),
      map: new Map([[1, new Set([2n])]]),
      error: new Error('e'),
      list: [/x/g],
      bytes: new Uint8Array([1]),
    });
  });

  it('turn instances of classes into plain objects, by toJSON where there is one', () => {
    class Point {
      constructor(
        readonly x: number,
        readonly at = new Date(0),
      ) {}
    }
    class Money {
      constructor(readonly amount: bigint) {}
      toJSON() {
        return { amount: this.amount, currency: 'EUR' };
      }
    }
    class Self {
      readonly id = 1;
      toJSON() {
        return this;
      }
    }
    expect(roundTrip([new Point(1), new Money(2n), new Self()])).toStrictEqual([
      { x: 1, at: new Date(0) },
      { amount: 2n, currency: 'EUR' },
      { id: 1 },
    ]);
    expect(roundTrip(Object.assign(Object.create(null), { a: 1 }))).toStrictEqual({ a: 1 });
    expect(roundTrip([Object('text'), Object(1), Object(false), Object(2n)])).toStrictEqual(['text', 1, false, 2n]);
  });

  it('use JSON where JSON is enough, and no quotes for text', () => {
    expect(encoded({ a: [1, 'x', null, true, { b: -1.5 }] })).toEqual({
      codec: 'j',
      payload: '{"a":[1,"x",null,true,{"b":-1.5}]}',
      bytes: 34,
    });
    expect(encoded('é "quoted"')).toEqual({ codec: 's', payload: 'é "quoted"', bytes: 11 });
    expect(encoded(new Uint8Array(9))).toMatchObject({ codec: 'u', bytes: 9 });
  });

  it('hand out copies that share nothing', () => {
    const value = { list: [Buffer.from('a')], bytes: new Uint8Array([1]) };
    const before = inspect(value);
    const { codec, payload } = encoded(value);
    const [one, other] = [decode(codec, payload), decode(codec, payload)] as [typeof value, typeof value];
    one.list[0]!.fill(0);
    one.bytes.fill(9);
    expect([inspect(value), inspect(other)]).toEqual([before, before]);

    const top = Buffer.from('abc');
    const stored = encoded(top);
    top.fill(0);
    (decode(stored.codec, stored.payload) as Buffer).fill(0);
    expect(decode(stored.codec, stored.payload)).toEqual(Buffer.from('abc'));
  });
});
