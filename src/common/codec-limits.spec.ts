import { randomBytes } from 'node:crypto';
import { inspect, isDeepStrictEqual } from 'node:util';
import { type CodecOptions, compress, decode, encode, type Encoded } from './codec.ts';
import { SerializationError } from './errors.ts';

const ROOMY: CodecOptions = { maxBytes: 1024 ** 2, compressAboveBytes: Infinity };

function encoded(value: unknown, options = ROOMY): Encoded {
  const result = encode(value, options);
  if (result.codec === undefined) throw new Error(`too large: ${result.bytes}`);
  return result;
}

function roundTrip(value: unknown, options = ROOMY): unknown {
  const { codec, payload } = encoded(value, options);
  return decode(codec, payload);
}

function failureOf(action: () => unknown): Error {
  try {
    action();
  } catch (error) {
    return error as Error;
  }
  throw new Error('did not fail');
}

describe('encode', () => {
  const circular: Record<string, unknown> = { list: [{}] };
  circular['list'] = [{ again: circular }];
  const circularMap = new Map<string, unknown>();
  circularMap.set('self', { map: circularMap });
  const deep = (levels: number) => {
    let value: unknown = 'secret';
    for (let level = 0; level < levels; level++) value = { d: value };
    return value;
  };

  it.each<[string, unknown, string]>([
    ['undefined', undefined, 'undefined cannot be stored'],
    ['a function', () => 'secret', '$ is a function'],
    ['a function inside', { user: { callback: () => 'secret' } }, '$.user.callback is a function'],
    ['a symbol in a list', [1, [Symbol('secret')]], '$[1][0] is a symbol'],
    ['a function under an odd name', { 'a b': { 'c"': () => 1 } }, '$["a b"]["c\\""] is a function'],
    ['a function in a Map', { map: new Map([['secret', () => 1]]) }, '$.map[1] is a function'],
    ['a boxed symbol', { s: Object(Symbol('secret')) as unknown }, '$.s is a symbol'],
    ['a cycle', circular, '$.list[0].again refers back to an object around it'],
    ['a cycle through a Map', circularMap, '$[1].map refers back to an object around it'],
    ['a promise', { user: Promise.resolve('secret') }, '$.user is a Promise'],
    ['a WeakMap', { map: new WeakMap() }, '$.map is a WeakMap'],
    ['501 levels', deep(501), 'is more than 500 levels deep'],
    ['10 000 levels', deep(10_000), 'is more than 500 levels deep'],
  ])('refuses %s, saying where', (_, value, message) => {
    const failure = failureOf(() => encode(value, ROOMY));
    expect(failure).toBeInstanceOf(SerializationError);
    expect(failure.message).toContain(message);
    expect(inspect(failure)).not.toContain('secret');
    expect(failure.message.length).toBeLessThan(400);
  });

  it('stores an object that is used twice, which is no cycle', () => {
    const shared = { a: 1 };
    expect(roundTrip([shared, { shared }, new Map([[shared, shared]])])).toStrictEqual([
      shared,
      { shared },
      new Map([[{ a: 1 }, { a: 1 }]]),
    ]);
  });

  it('stores 500 levels', () => {
    expect(isDeepStrictEqual(roundTrip(deep(500)), deep(500))).toBe(true);
    expect(isDeepStrictEqual(roundTrip([deep(498), 1n]), [deep(498), 1n])).toBe(true);
  });

  it('does not pass on what a getter throws', () => {
    const value = {
      get broken(): never {
        throw new Error('secret');
      },
    };
    const failure = failureOf(() => encode({ value, other: 1n }, ROOMY));
    expect(failure).toBeInstanceOf(SerializationError);
    expect(inspect(failure)).not.toContain('secret');
  });

  it.each<[string, (size: number) => unknown]>([
    ['a text', (size) => 'x'.repeat(size)],
    ['a text of two bytes per character', (size) => 'é'.repeat(size / 2)],
    ['a text inside', (size) => ({ text: 'x'.repeat(size - 11) })],
    ['a Buffer', (size) => Buffer.alloc(size)],
  ])('stores %s of exactly maxBytes and no more', (_, make) => {
    const options = { ...ROOMY, maxBytes: 10_000 };
    expect(encode(make(10_000), options)).toMatchObject({ bytes: 10_000 });
    const larger = encode(make(10_002), options);
    expect(larger.codec).toBeUndefined();
    expect(larger.bytes).toBeGreaterThan(10_000);
  });

  it.each<[string, unknown]>([
    ['a text', { text: 'é'.repeat(20_000) }],
    ['a list', { list: new Array<number>(20_000).fill(1_234_567) }],
    ['a Map', new Map([[1, 'é'.repeat(20_000)]])],
    ['binary', [Buffer.alloc(20_000), 'é'.repeat(20_000)]],
  ])('does not serialise %s that is too large', (_, value) => {
    // What it says of the size is what it had seen of it; serialised, each of these takes 40 000 bytes or more.
    const { codec, bytes } = encode(value, { ...ROOMY, maxBytes: 10_000 });
    expect(codec).toBeUndefined();
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(30_000);
  });

  it('does not read on once a value is too large', () => {
    let reads = 0;
    const item = {
      get text() {
        reads++;
        return 'x'.repeat(99);
      },
    };
    for (const extra of [0, 1n]) {
      reads = 0;
      expect(encode([...new Array<unknown>(10_000).fill(item), extra], { ...ROOMY, maxBytes: 10_000 })).toMatchObject({
        codec: undefined,
      });
      expect(reads).toBeLessThan(250);
    }
  });

  it('refuses a cycle for what it is, however much there is around it', () => {
    const node: Record<string, unknown> = { text: 'x'.repeat(9_000) };
    node['self'] = node;
    expect(() => encode(node, { ...ROOMY, maxBytes: 10_000 })).toThrow('$.self refers back');
  });
});

describe('compression', () => {
  const rows = Array.from({ length: 1_000 }, (_, id) => ({ id, title: `Product number ${id}`, at: new Date(id) }));

  it('is applied above the limit, to every kind of payload', () => {
    const options = { ...ROOMY, compressAboveBytes: 1_000 };
    for (const value of [rows, rows.map(({ id }) => ({ id })), 'text '.repeat(1_000), Buffer.alloc(2_000)]) {
      const plain = encoded(value);
      const small = encoded(value, options);
      expect(small.codec).toBe(plain.codec.toUpperCase());
      expect(small.bytes).toBe(small.payload.length);
      expect(small.bytes).toBeLessThan(plain.bytes);
      expect(roundTrip(value, options)).toStrictEqual(value);
    }
  });

  it('is not applied at the limit, or where it does not shrink', () => {
    expect(encoded('x'.repeat(100), { ...ROOMY, compressAboveBytes: 100 }).codec).toBe('s');
    const plain = encoded(randomBytes(500));
    expect(compress(plain, 0)).toBe(plain);
  });

  it('measures maxBytes before compressing', () => {
    expect(encode('x'.repeat(2_000), { maxBytes: 1_000, compressAboveBytes: 100 }).codec).toBeUndefined();
  });

  it('does not unpack a bomb', () => {
    const bomb = compress(encoded(Buffer.alloc(1_000_000)), 0);
    const larger: Encoded = { codec: 'b', payload: Buffer.alloc(64 * 1024 ** 2 + 1), bytes: 64 * 1024 ** 2 + 1 };
    expect(decode('B', bomb.payload, 1_000_000)).toHaveLength(1_000_000);
    expect(() => decode('B', bomb.payload, 999_999)).toThrow('not of codec "B"');
    expect(() => decode('B', compress(larger, 0).payload)).toThrow('not of codec "B"');
  });
});
