import fc from 'fast-check';
import { decode, encode } from './codec.ts';
import { parseJson } from './safe-json.ts';

/** The merge that everybody has written once. */
function merge(target: Record<string, unknown>, source: Record<string, unknown>): Record<string, unknown> {
  for (const key of Object.keys(source)) {
    const [inner, outer] = [source[key], target[key]];
    const isNested =
      typeof inner === 'object' && inner !== null && (typeof outer === 'object' || typeof outer === 'function');
    target[key] = isNested ? merge(outer as Record<string, unknown>, inner as Record<string, unknown>) : inner;
  }
  return target;
}

const polluted = (): unknown => (({}) as Record<string, unknown>)['polluted'];

describe('parseJson', () => {
  afterEach(() => {
    Reflect.deleteProperty(Object.prototype, 'polluted');
  });

  it.each([
    '{"__proto__":{"polluted":1}}',
    '{"a":[{"b":{"__proto__":{"polluted":1}}}]}',
    '{"_\\u005fproto__":{"polluted":1}}',
    '{"__p\\u0072oto__":{"polluted":1}}',
    '{"\\u005F_proto__":{"polluted":1}}',
    '{"constructor":{"prototype":{"polluted":1}}}',
    '{"const\\u0072uctor":{"prototype":{"polluted":1}}}',
    '{"constructor":{"\\u0070rototype":{"polluted":1}}}',
    '{"a":{"constructor":{"size":"x","prototype":{"polluted":1}}}}',
    '{"__proto__":{"__proto__":{"polluted":1}},"a":"__proto__"}',
  ])('takes what could reach a prototype out of %s', (text) => {
    const value = parseJson(text) as Record<string, unknown>;
    merge({}, value);
    expect(polluted()).toBeUndefined();
    expect(Object.assign({}, value)).not.toHaveProperty('polluted');
    expect(JSON.stringify(value)).not.toMatch(/polluted/);
  });

  it('takes it out of every codec that reads JSON', () => {
    const hostile = JSON.parse('{"__proto__":{"polluted":1},"kept":{"__proto__":{"polluted":1},"x":1}}') as object;
    for (const value of [hostile, { ...hostile, at: new Date(0) }, [new Map([['key', hostile]])]]) {
      const { codec, payload } = encode(value, { maxBytes: 1_000, compressAboveBytes: Infinity }) as never;
      const copy = decode(codec, payload);
      merge({}, copy as Record<string, unknown>);
      expect(polluted()).toBeUndefined();
      expect([...new Map(Object.entries(copy as object)).keys()]).not.toContain('__proto__');
    }
    expect(() => decode('t', '["~e","Error","m",{"__proto__":{"polluted":1},"a":1}]')).not.toThrow();
  });

  it('changes nothing else', () => {
    const innocentJson = fc.json().filter((text) => !/proto|constructor/.test(text));
    fc.assert(
      fc.property(innocentJson, (text) => {
        const suspicious = `[${text},"__proto__ prototype \\u0070"]`;
        expect(parseJson(suspicious)).toEqual([...(JSON.parse(`[${text}]`) as unknown[]), '__proto__ prototype p']);
      }),
    );
    expect(parseJson('{"constructor":"x","prototype":1,"a":{"constructor":{"name":"y"}},"n":null}')).toEqual({
      constructor: 'x',
      prototype: 1,
      a: { constructor: { name: 'y' } },
      n: null,
    });
  });
});
