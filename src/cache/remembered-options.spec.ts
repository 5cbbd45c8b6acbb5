import { GET_OR_SET_RULES, type GetOrSetOptions } from './get-or-set.options.ts';
import { CACHE_DEFAULTS } from './cache.options.ts';
import { ReadOptionsResolver } from './read-options.resolver.ts';

type Options = GetOrSetOptions<never>;

const schema = { '~standard': { validate: () => ({}) } };
const GIVEN: Options = { ttl: '1m', grace: '1h' };
/** Another value of each option than `GIVEN` has. */
const OTHERS: Required<Omit<Options, 'tags'>> = {
  ttl: '2m',
  grace: '2h',
  staleWhileRevalidate: true,
  softTimeout: '1s',
  hardTimeout: '2s',
  jitter: 0.5,
  cacheNull: false,
  coalesce: 'off',
  earlyRefresh: 0.5,
  read: 'frozen',
  tier: 'l1',
  schema,
  name: 'other',
};

describe('what options of a call meant', () => {
  const resolver = (): ReadOptionsResolver => new ReadOptionsResolver(CACHE_DEFAULTS);

  it('is remembered for objects that say the same', () => {
    const subject = resolver();
    const first = subject.forRead({ ...GIVEN });
    expect(subject.forRead({ ...GIVEN })).toBe(subject.forRead({ ...GIVEN }));
    expect(subject.known({ ...GIVEN })).toEqual(first);
  });

  it('is unknown before the first call, and for wrong options', () => {
    const subject = resolver();
    expect(subject.known(GIVEN)).toBeUndefined();
    expect(subject.known(60)).toBeUndefined();
    subject.forRead(GIVEN);
    const misspelt = { ...GIVEN, garce: '1h' } as Options;
    expect(subject.known(misspelt)).toBeUndefined();
    expect(() => subject.forRead(misspelt)).toThrow(/garce/);
  });

  it.each(Object.keys(GET_OR_SET_RULES) as (keyof typeof OTHERS)[])('depends on %s', (name) => {
    const subject = resolver();
    const before = subject.forRead(GIVEN);
    const other = { ...GIVEN, [name]: OTHERS[name] };
    expect(subject.known(other)).toBeUndefined();
    expect(subject.forRead(other)).not.toEqual(before);
    expect(subject.forRead(GIVEN)).toEqual(before);
  });

  it('is known without the tags, which every call says for itself', () => {
    const subject = resolver();
    const tagsOf = () => ['c'];
    expect(subject.forRead({ ...GIVEN, tags: ['a'] }).tags).toEqual(['a']);
    expect(subject.forRead({ ...GIVEN, tags: ['b', 'b'] })).toMatchObject({ tags: ['b'], graceMs: 3_600_000 });
    expect(subject.forRead({ ...GIVEN, tags: tagsOf })).toMatchObject({ tags: [], tagsOf });
    expect(subject.forRead(GIVEN)).toMatchObject({ tags: [], tagsOf: undefined });
    expect(() => subject.forRead({ ...GIVEN, tags: [''] })).toThrow(/tags/);
  });

  it('keeps the tags of the module where a call says none', () => {
    const subject = new ReadOptionsResolver({ ...CACHE_DEFAULTS, tags: ['all'] });
    expect(subject.forRead({ ...GIVEN, tags: ['a'] }).tags).toEqual(['a']);
    expect(subject.forRead(GIVEN).tags).toEqual(['all']);
  });

  it('is remembered for a bounded number of different options', () => {
    const subject = resolver();
    for (let index = 0; index < 20; index++) subject.forRead({ ttl: '1m', jitter: index / 100 });
    expect(subject.known({ ttl: '1m', jitter: 0 })).toBeUndefined();
    expect(subject.known({ ttl: '1m', jitter: 0.19 })).toMatchObject({ jitter: 0.19 });
  });
});
