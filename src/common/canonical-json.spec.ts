import fc from 'fast-check';
import { EventEmitter } from 'node:events';
import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { inspect, isDeepStrictEqual } from 'node:util';
import { canonicalJson } from './canonical-json.ts';
import { SerializationError } from './errors.ts';

class Point {
  constructor(
    readonly x: unknown,
    readonly y: unknown = 0,
  ) {}
}
class Query {
  declare readonly page?: number;
}
class Decimal {
  readonly digits: readonly number[];
  constructor(private readonly text: string) {
    this.digits = [text.length];
  }
  toJSON() {
    return this.text;
  }
}
class Secretive {
  readonly #id: number;
  readonly shown = true;
  constructor(id: number) {
    this.#id = id;
  }
  get id() {
    return this.#id;
  }
}
class Heir extends Secretive {}

/** Values that JSON, a template literal or a join would mix up. Each must have a text of its own. */
const DISTINCT: readonly unknown[] = [
  ...[undefined, null, 'null', 'undefined', '', ' ', [], [null], [undefined], [[]], {}, '{}', '[]', { a: null }],
  ...[0, '0', 1, '1', 1n, '1n', true, 'true', NaN, 'NaN', Infinity, 'Infinity', -Infinity],
  ...[new Date(0), new Date(0).toISOString(), 'Date(0)', new Date(NaN), { Date: 0 }, ['Date', 0]],
  ...[new Map(), new Set(), new Map([['a', 1]]), { a: 1 }, [['a', 1]], new Set(['a']), ['a'], 'a', new Set([['a', 1]])],
  ...[new Map([[1, 'a']]), new Map([['1', 'a']]), new Map([[{ a: 1 }, 1]]), new Map([['{"a":1}', 1]])],
  ...[Buffer.from('a'), new Uint8Array([97]), new Int8Array([97]), 'YQ==', 'Buffer(YQ==)', new ArrayBuffer(1)],
  ...[new URL('http://a/'), 'http://a/', /a/, /a/g, '/a/', 'RegExp("a",)'],
  ...[new Error('a'), new TypeError('a'), 'Error: a', { name: 'Error', message: 'a' }],
  ...[
    'a,b',
    ['a', 'b'],
    ['a,b'],
    '"a","b"',
    'a","b',
    ['a', ['b']],
    [['a'], 'b'],
    '\ud800',
    '\ufffd',
    'e\u0301',
    '\u00e9',
  ],
  ...[new Decimal('5'), 5, '5', 'JSON("5")', { '~': 1 }, ['~m', 1], { $date: 0 }],
];

describe('canonicalJson', () => {
  it('is JSON with sorted keys for plain data', () => {
    expect(canonicalJson([{ b: [1, 'x"y'], a: { d: null, c: true } }, 'é'])).toBe(
      '[{"a":{"c":true,"d":null},"b":[1,"x\\"y"]},"é"]',
    );
  });

  it('tells apart whatever is not the same', () => {
    const seen = new Map<string, unknown>();
    for (const value of DISTINCT) {
      const text = canonicalJson(value);
      expect([text, seen.get(text)]).toEqual([text, undefined]);
      seen.set(text, value);
    }
  });

  it.each<[string, unknown, unknown]>([
    ['objects that differ in the order of keys', { a: 1, b: { d: 2, c: 3 } }, { b: { c: 3, d: 2 }, a: 1 }],
    ['a property that is undefined and none', { a: undefined, b: 1 }, { b: 1 }],
    ['0 and -0', [0], [-0]],
    ['Maps in another order', new Map([['a', 1], ['b', 2]]), new Map([['b', 2], ['a', 1]])], // prettier-ignore
    ['Sets in another order', new Set([1, 'a', null]), new Set([null, 1, 'a'])],
    ['an instance and its fields', new Point(1), { y: 0, x: 1 }],
    ['two instances with equal fields', new Point(new Date(0)), new Point(new Date(0))],
    ['an object without prototype', Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
    ['an instance without fields and an empty object', new Query(), {}],
    ['holes and undefined', new Array<unknown>(2), [undefined, undefined]],
    ['boxed and bare', [Object('a'), Object(1)], ['a', 1]],
  ])('is the same for %s', (_, one, other) => {
    expect(canonicalJson(one)).toBe(canonicalJson(other));
  });

  it('is the same exactly for equal values', () => {
    const text = fc.string({
      unit: fc.constantFrom('a', '"', ',', '[', '{', ':', '\\', 'n', '1', '\ud800'),
      maxLength: 3,
    });
    const scalar = fc.oneof(
      ...[text, fc.nat(2), fc.bigInt({ min: 0n, max: 2n }), fc.constantFrom(null, undefined, true, NaN, new Date(0))],
    );
    const { tree } = fc.letrec((tie) => ({
      tree: fc.oneof(
        { maxDepth: 3, depthSize: 'small' },
        scalar,
        fc.array(tie('tree'), { maxLength: 3 }),
        fc.dictionary(
          text,
          tie('tree').filter((value) => value !== undefined),
          { maxKeys: 2, noNullPrototype: true },
        ),
        fc.array(fc.tuple(text, tie('tree')), { maxLength: 2 }).map((entries) => new Map(entries)),
        fc.array(scalar, { maxLength: 2 }).map((items) => new Set(items)),
      ),
    }));
    fc.assert(
      fc.property(fc.array(tree, { maxLength: 3 }), fc.array(tree, { maxLength: 3 }), (one, other) => {
        expect(canonicalJson(one) === canonicalJson(other)).toBe(isDeepStrictEqual(one, other));
      }),
      { numRuns: 2_000 },
    );
  });

  it('depends on every byte of a part of a buffer, and on nothing around it', () => {
    const bytes = Uint8Array.from([9, 1, 2, 9]);
    expect(canonicalJson(bytes.subarray(1, 3))).toBe(canonicalJson(new Uint8Array([1, 2])));
    expect(canonicalJson(bytes.subarray(1, 3))).not.toBe(canonicalJson(bytes.subarray(1, 4)));
  });

  const circular: { self?: unknown } = {};
  circular.self = { list: [circular] };

  it.each<[string, unknown, string]>([
    ['a function', () => 'secret', '$[1] is a function'],
    ['a function inside', { filter: { by: () => 'secret' } }, '$[1].filter.by is a function'],
    ['a symbol', Symbol('secret'), '$[1] is a symbol'],
    ['a cycle', circular, '$[1].self.list[0] refers back'],
    ['a stream', Readable.from(['secret']), '$[1] is a stream'],
    ['a request', new IncomingMessage(new Socket()), '$[1] is a stream'],
    ['a framework’s request', new Point(new IncomingMessage(new Socket())), '$[1].x is a stream'],
    ['an event emitter', new EventEmitter(), '$[1] is a stream'],
    ['a web stream', new ReadableStream(), '$[1] is a stream'],
    ['a web request', new Request('http://a/'), '$[1] has state that cannot be seen (class Request)'],
    [
      'search parameters',
      new URLSearchParams('a=secret'),
      '$[1] has state that cannot be seen (class URLSearchParams)',
    ],
    ['an abort signal', new AbortController().signal, '$[1] has state that cannot be seen (class AbortSignal)'],
    ['a promise', Promise.resolve('secret'), '$[1] has state that cannot be seen (class Promise)'],
    ['a formatter', new Intl.NumberFormat('de'), '(class NumberFormat)'],
    ['private fields', new Secretive(1), '(class Secretive)'],
    ['inherited private fields', new Heir(1), '(class Heir)'],
    ['10 000 levels', deep(10_000), 'is more than 500 levels deep'],
  ])('refuses %s and asks for a key', (_, value, message) => {
    const failure = failureOf(() => canonicalJson(['argument', value]));
    expect(failure).toBeInstanceOf(SerializationError);
    expect(failure.message).toContain(message);
    expect(failure.message).toMatch(/give a `key`$/);
    expect(inspect(failure)).not.toContain('secret');
  });

  it('goes on after it refused something', () => {
    expect(() => canonicalJson([circular])).toThrow();
    expect(canonicalJson([{}, { a: circular.self === undefined }])).toBe('[{},{"a":false}]');
  });

  it('accepts an object that is used twice, which is no cycle', () => {
    const shared = new Date(0);
    const list = [shared];
    expect(canonicalJson([list, { list }])).toBe('[[Date(0)],{"list":[Date(0)]}]');
  });
});

function deep(levels: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < levels; level++) value = [value];
  return value;
}

function failureOf(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error('did not fail');
}
