import { CACHE_DEFAULTS } from './cache.options.ts';
import type { GetOrSetOptions } from './get-or-set.options.ts';
import { ReadOptionsResolver } from './read-options.resolver.ts';

const resolver = (): ReadOptionsResolver => new ReadOptionsResolver(CACHE_DEFAULTS);

describe('ReadOptionsResolver', () => {
  it('fills in the defaults', () => {
    expect(resolver().forRead(undefined)).toMatchObject({ ttlMs: 300_000, graceMs: 0, jitter: 0.1, tier: 'both' });
    expect(resolver().forRead(30)).toMatchObject({ ttlMs: 30_000 });
    expect(resolver().forRead('30s')).toMatchObject({ ttlMs: 30_000 });
    expect(resolver().forRead({ ttl: '1m', grace: '1h' })).toMatchObject({ ttlMs: 60_000, graceMs: 3_600_000 });
  });

  it('resolves the same object again when it was changed', () => {
    const options = { ttl: '1m', tags: ['a'] } as { ttl: '1m' | '2m'; tags: string[]; grace?: '1h' };
    const subject = resolver();
    const first = subject.forRead(options);
    expect(subject.forRead(options)).toEqual(first);
    options.ttl = '2m';
    expect(subject.forRead(options).ttlMs).toBe(120_000);
    options.tags.push('b');
    expect(subject.forRead(options).tags).toEqual(['a', 'b']);
    options.grace = '1h';
    expect(subject.forRead(options).graceMs).toBe(3_600_000);
    delete options.grace;
    expect(subject.forRead(options).graceMs).toBe(0);
  });

  it('names everything that is wrong at once', () => {
    const wrong = { jitter: 2, coalesce: 'never', graze: '1h' } as unknown as GetOrSetOptions<never>;
    expect(() => resolver().forRead(wrong)).toThrow(
      /graze: unknown option; did you mean 'grace'[^]*jitter[^]*coalesce/,
    );
  });

  it('takes what a call leaves out from the module, and its false for what it says', () => {
    const schema = { '~standard': { validate: () => ({}) } };
    const subject = new ReadOptionsResolver({
      ...CACHE_DEFAULTS,
      graceMs: 5_000,
      staleWhileRevalidate: true,
      softTimeoutMs: 10,
      hardTimeoutMs: 20,
      earlyRefresh: 0.5,
      tags: ['all'],
      read: 'frozen',
      tier: 'l1',
      schema,
    });
    const byDefault = { revalidateMs: 5_000, softTimeoutMs: 10, hardTimeoutMs: 20, earlyRefresh: 0.5, tags: ['all'] };
    expect(subject.forRead(30)).toMatchObject({ ...byDefault, isFrozen: true, tier: 'l1', schema });
    expect(subject.forWrite(undefined)).toMatchObject({ tags: ['all'], tier: 'l1' });
    expect(subject.forWrite({ tags: [], tier: 'both' })).toMatchObject({ tags: [], tier: 'both', graceMs: 5_000 });
    expect(subject.forRead({ grace: '1s' }).revalidateMs).toBe(1_000);
    expect(subject.forRead({ grace: '1s', staleWhileRevalidate: '3s' }).revalidateMs).toBe(3_000);
    const off = { softTimeout: false, hardTimeout: false, earlyRefresh: false, schema: false, tags: [] } as const;
    const none = { softTimeoutMs: undefined, hardTimeoutMs: undefined, earlyRefresh: undefined, schema: undefined };
    expect(subject.forRead({ ...off, staleWhileRevalidate: false })).toMatchObject({
      ...none,
      tags: [],
      revalidateMs: 0,
    });
    const tagsOf = () => ['own'];
    expect(subject.forRead({ tags: tagsOf })).toMatchObject({ tags: [], tagsOf });
  });

  it('takes a schema that is a function', () => {
    const schema = Object.assign(() => undefined, { '~standard': { validate: () => ({}) } });
    expect(resolver().forRead({ schema }).schema).toBe(schema);
  });

  it('takes options of a read for none of a write', () => {
    const tagsOf = { tags: () => ['a'] } as object;
    expect(() => resolver().forWrite(tagsOf)).toThrow(/tags: must be a list/);
    const options = { softTimeout: '1s' } as object;
    expect(() => resolver().forWrite(options)).toThrow(/softTimeout/);
  });

  it('warns once of a bare number that looks like milliseconds', () => {
    const warn = jest.fn();
    const subject = new ReadOptionsResolver(CACHE_DEFAULTS, warn);
    for (const ttl of [3_600, 2_592_000, 3_600_000, 3_600_000, '60d'] as const) subject.forRead(ttl);
    expect(warn.mock.calls).toEqual([[expect.stringContaining("Write '3600000ms'")]]);
  });
});
