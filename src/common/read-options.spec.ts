import { as, duration, either, flag, integer, rule, secret, text } from './option-rules.ts';
import { readOptions, received, ruleAt } from './read-options.ts';
import { withDefaults } from './with-defaults.ts';

const RULES = {
  ttl: as('ttlMs', duration('1ms', '1h')),
  port: integer(1, 65_535),
  password: secret(text('a text of three letters', /^\w{3}$/)),
  tls: either(flag, { servername: text('a name', /^\S+$/) }),
  l1: { maxEntries: integer(1, 10), ttl: as('ttlMs', duration('1ms', '1h')) },
};

function read(given: unknown) {
  const faults: string[] = [];
  return { values: readOptions(given, RULES, faults), faults };
}

describe('readOptions', () => {
  it('gives each value in its resolved form, under its resolved name', () => {
    const { values, faults } = read({ ttl: '5m', port: 80, l1: { maxEntries: 3, ttl: '1s' } });
    expect(values).toEqual({ ttlMs: 300_000, port: 80, l1: { maxEntries: 3, ttlMs: 1_000 } });
    expect(faults).toEqual([]);
  });

  it('takes what is undefined as not given', () => {
    expect(read({ ttl: undefined, l1: { ttl: undefined } })).toEqual({ values: { l1: {} }, faults: [] });
  });

  it('keeps false and zero', () => {
    const faults: string[] = [];
    expect(readOptions({ on: false, count: 0 }, { on: flag, count: integer(0, 9) }, faults)).toEqual({
      on: false,
      count: 0,
    });
    expect(faults).toEqual([]);
  });

  it('reads one value or a section where both are allowed', () => {
    expect(read({ tls: true }).values).toEqual({ tls: true });
    expect(read({ tls: { servername: 'a' } }).values).toEqual({ tls: { servername: 'a' } });
    expect(read({ tls: { servername: '' } }).faults).toEqual(["tls.servername: must be a name; received ''"]);
    expect(read({ tls: 'yes' }).faults).toEqual(["tls: must be true or false, or an object; received 'yes'"]);
  });

  it('reads options that are getters of a class', () => {
    class Options {
      readonly #seconds = 1;

      get ttl(): string {
        return `${this.#seconds}s`;
      }
    }
    expect(read(new Options())).toEqual({ values: { ttlMs: 1_000 }, faults: [] });
  });

  it('names every fault with its path, what is allowed and what was received', () => {
    expect(read({ ttl: '5 m', port: 0, l1: { maxEntries: 11 } }).faults).toEqual([
      "ttl: must be a duration from '1ms' to '1h'; received '5 m'",
      'port: must be a whole number from 1 to 65535; received 0',
      'l1.maxEntries: must be a whole number from 1 to 10; received 11',
    ]);
  });

  it('leaves a faulty option out, and reads the others', () => {
    expect(read({ ttl: 'soon', port: 80 }).values).toEqual({ port: 80 });
  });

  it.each([
    ['prot', 'port'],
    ['PORT', 'port'],
    ['pasword', 'password'],
    ['ttlMs', 'ttl'],
    ['maxEntrys', 'l1.maxEntries'],
    ['servername', 'tls.servername'],
  ])('takes %p for an unknown option and asks whether %p was meant', (unknown, meant) => {
    expect(read({ [unknown]: 1 }).faults).toEqual([`${unknown}: unknown option; did you mean '${meant}'?`]);
  });

  it('suggests nothing where nothing is near', () => {
    expect(read({ compression: true, l1: { hasOwnProperty: 1 } }).faults).toEqual([
      'compression: unknown option',
      'l1.hasOwnProperty: unknown option',
    ]);
  });

  it('refuses unknown options that look like parts of every object', () => {
    expect(read(JSON.parse('{"__proto__":{"port":1},"constructor":1}')).faults).toEqual([
      '__proto__: unknown option',
      'constructor: unknown option',
    ]);
  });

  it.each([[null], ['text'], [42], [[]]])('takes %p for no options at all', (given) => {
    expect(read(given).faults).toEqual([`options: must be an object; received ${received(given)}`]);
    expect(read({ l1: given }).faults).toEqual([`l1: must be an object; received ${received(given)}`]);
  });

  it('never shows a secret', () => {
    expect(read({ password: 'hunter2' }).faults).toEqual(['password: must be a text of three letters; received ***']);
  });
});

describe('received', () => {
  it.each([
    ['text', "'text'"],
    [42, '42'],
    [null, 'null'],
    [{ password: 'x' }, 'an object'],
    [['x'], 'a list'],
    [() => 'x', 'a function'],
    [Number.NaN, 'NaN'],
    ['@', "'@'"],
    ['redis://user:pass@host', '***'],
    ['https://host/?password=pass', '***'],
    ['line\n\u001b[31mred', String.raw`'line\n\u001b[31mred'`],
    ['x'.repeat(200), `'${'x'.repeat(60)}'`],
  ])('shows %p as %s', (value, expected) => {
    expect(received(value)).toBe(expected);
  });
});

describe('ruleAt', () => {
  it('finds a rule below sections, also below one that may be a single value', () => {
    expect(ruleAt(RULES, 'l1.maxEntries')).toBe(RULES.l1.maxEntries);
    expect(ruleAt(RULES, 'tls')).toBe(RULES.tls);
    expect(ruleAt(RULES, 'tls.servername')).toBe(RULES.tls.section.servername);
  });

  it.each(['l1', 'l1.nothing', 'port.nothing', 'nothing.at.all'])('throws where there is none: %s', (path) => {
    expect(() => ruleAt(RULES, path)).toThrow(path);
  });

  it('does not take an option called read for a rule', () => {
    const rules = { read: { read: rule('anything', (value) => value) } };
    expect(ruleAt(rules, 'read.read')).toBe(rules.read.read);
  });
});

describe('withDefaults', () => {
  const defaults = { ttlMs: 1, isOn: true, l1: { maxEntries: 1, maxBytes: 1 } };

  it('lets each layer override the one before, option by option', () => {
    const merged = withDefaults(defaults, { ttlMs: 2, l1: { maxEntries: 2, maxBytes: 2 } }, { l1: { maxBytes: 3 } });
    expect(merged).toEqual({ ttlMs: 2, isOn: true, l1: { maxEntries: 2, maxBytes: 3 } });
  });

  it('lets false and zero override, and nothing that was not given', () => {
    const merged = withDefaults(defaults, { isOn: false, ttlMs: 0 }, undefined, {});
    expect(merged).toEqual({ ...defaults, isOn: false, ttlMs: 0 });
  });

  it('takes from a layer only what has a default, and leaves the defaults as they are', () => {
    const layer = { ttlMs: 2, other: 3 };
    expect(withDefaults(defaults, layer)).toEqual({ ...defaults, ttlMs: 2 });
    expect(defaults.ttlMs).toBe(1);
  });
});
