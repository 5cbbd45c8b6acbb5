import {
  as,
  duration,
  durationOrMs,
  either,
  flag,
  integer,
  number,
  oneOf,
  secret,
  size,
  text,
} from './option-rules.ts';

describe('a rule', () => {
  it.each([
    ['flag', flag, true, true],
    ['flag', flag, false, false],
    ['number', number(0, 1), 0.5, 0.5],
    ['number at the lower end', number(0, 1), 0, 0],
    ['number at the upper end', number(0, 1), 1, 1],
    ['integer', integer(1, 3), 3, 3],
    ['duration', duration('1ms', '1h'), '5m', 300_000],
    ['duration at the lower end', duration('1ms', '1h'), '1ms', 1],
    ['duration at the upper end', duration('1ms', '1h'), '60m', 3_600_000],
    ['duration or milliseconds', durationOrMs('1ms', '1h'), '3s', 3_000],
    ['duration or milliseconds', durationOrMs('1ms', '1h'), 3_000, 3_000],
    ['size', size('1kb', '1gb'), '64mb', 67_108_864],
    ['size', size('1kb', '1gb'), '1.5KB', 1_536],
    ['size in bytes', size('1kb', '1gb'), 2_048, 2_048],
    ['choice', oneOf('reject', 'local'), 'local', 'local'],
    ['text', text('a name', /^\S+$/), 'name', 'name'],
  ])('of a %s reads %p as %p', (_kind, { read }, value, expected) => {
    expect(read(value)).toBe(expected);
  });

  it.each([
    ['flag', flag, 'true'],
    ['flag', flag, 1],
    ['number', number(0, 100), -1],
    ['number', number(0, 100), 100.1],
    ['number', number(0, 100), Number.NaN],
    ['number', number(0, 100), Number.POSITIVE_INFINITY],
    ['number', number(0, 100), '50'],
    ['integer', integer(1, 10), 1.5],
    ['integer', integer(1, 10), 0],
    ['integer', integer(1, 10), 11],
    ['duration', duration('1ms', '1h'), '0ms'],
    ['duration', duration('1ms', '1h'), '61m'],
    ['duration', duration('1ms', '1h'), '5 minutes'],
    ['duration', duration('1ms', '1h'), 5],
    ['duration or milliseconds', durationOrMs('1ms', '1h'), -5],
    ['duration or milliseconds', durationOrMs('1ms', '1h'), Number.NaN],
    ['size', size('1kb', '1gb'), '64 parsecs'],
    ['size', size('1kb', '1gb'), '2gb'],
    ['size', size('1kb', '1gb'), 1_023],
    ['size', size('1kb', '1gb'), 2_048.5],
    ['choice', oneOf('reject', 'local'), 'Local'],
    ['text', text('a name', /^\S+$/), 'a name'],
    ['text', text('a name', /^\S+$/), 42],
    ['flag', flag, null],
  ])('of a %s refuses %p', (_kind, { read }, value) => {
    expect(read(value)).toBeUndefined();
  });

  it('says in words what it allows', () => {
    expect([number(0, 1), integer(1, 9), duration('1ms', '1h'), oneOf('a', 'b')].map(({ allowed }) => allowed)).toEqual(
      ['a number from 0 to 1', 'a whole number from 1 to 9', "a duration from '1ms' to '1h'", "one of 'a', 'b'"],
    );
  });

  it('keeps reading when it is renamed, hidden or given a section', () => {
    expect(as('portNumber', integer(1, 9))).toMatchObject({ as: 'portNumber', allowed: integer(1, 9).allowed });
    expect(secret(flag)).toMatchObject({ isSecret: true, read: flag.read });
    expect(either(flag, { port: integer(1, 9) })).toMatchObject({
      read: flag.read,
      section: { port: { allowed: integer(1, 9).allowed } },
    });
  });
});
