import { CACHE_DEFAULTS } from './cache.options.ts';
import { ReadOptionsResolver, type GetOrSetOptions } from './get-or-set.options.ts';

const resolver = (): ReadOptionsResolver => new ReadOptionsResolver(CACHE_DEFAULTS);

describe('ReadOptionsResolver', () => {
  it('fills in the defaults', () => {
    expect(resolver().forRead(undefined)).toMatchObject({ ttlMs: 300_000, graceMs: 0, jitter: 0.1, tier: 'both' });
    expect(resolver().forRead(30)).toMatchObject({ ttlMs: 30_000 });
    expect(resolver().forRead('30s')).toMatchObject({ ttlMs: 30_000 });
    expect(resolver().forRead({ ttl: '1m', grace: '1h' })).toMatchObject({ ttlMs: 60_000, graceMs: 3_600_000 });
  });

  it('resolves the same object once, and again when it was changed', () => {
    const options = { ttl: '1m', tags: ['a'] } as { ttl: '1m' | '2m'; tags: string[]; grace?: '1h' };
    const subject = resolver();
    const first = subject.forRead(options);
    expect(subject.forRead(options)).toBe(first);
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

  it('takes options of a read for none of a write', () => {
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
