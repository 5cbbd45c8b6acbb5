import { CACHE_DEFAULTS } from './cache.options.ts';
import { produce, type Factory } from './cache-factory.ts';
import type { GetOrSetOptions } from './get-or-set.options.ts';
import { ReadOptionsResolver } from './read-options.resolver.ts';

const run = <T>(options: GetOrSetOptions<never>, factory: Factory<T>, stale?: { value: T }) =>
  produce({ name: 'k', options: new ReadOptionsResolver(CACHE_DEFAULTS).forRead(options), factory, stale });

describe('what a factory makes', () => {
  it('ends at different times although it was made at once (F25)', async () => {
    const buckets = new Map<number, number>();
    for (let i = 0; i < 10_000; i++) {
      const produced = await run({ ttl: '10s' }, () => 1);
      if (produced.kind !== 'value') throw new Error('no value');
      expect(produced.ttlMs).toBeGreaterThanOrEqual(9_000);
      expect(produced.ttlMs).toBeLessThanOrEqual(10_000);
      const bucket = Math.min(Math.floor(produced.ttlMs / 100), 99);
      buckets.set(bucket, (buckets.get(bucket) ?? 0) + 1);
    }
    expect([...buckets.keys()].sort((a, b) => a - b)).toEqual([90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
    expect(Math.max(...buckets.values())).toBeLessThan(3_000);
  });

  it('keeps its whole TTL without jitter, and what the factory said with it', async () => {
    const exact = { ttl: '10s', jitter: 0 } as const;
    expect(await run(exact, () => 1)).toMatchObject({ ttlMs: 10_000, isStorable: true });
    expect(await run(exact, (context) => (context.setTtl(3), 1))).toMatchObject({ ttlMs: 3_000 });
    expect(await run(exact, (context) => (context.setTtl('1ms'), 1))).toMatchObject({ ttlMs: 1 });
    expect(await run(exact, (context) => (context.setTtl(0), 1))).toMatchObject({ isStorable: false });
    expect(await run(exact, (context) => context.notModified(), { value: 1 })).toEqual({
      kind: 'unchanged',
      ttlMs: 10_000,
    });
  });

  it.each([
    ['undefined', {}, () => undefined],
    ['null that is no value', { cacheNull: false }, () => null],
    ['with a TTL of 0', { ttl: '0s' }, () => 1],
    ['skipped', {}, (context: { skip: () => void }) => (context.skip(), 1)],
  ] as const)('is not stored: %s', async (_, options, factory) => {
    expect(await run(options, factory as Factory<unknown>)).toMatchObject({ kind: 'value', isStorable: false });
  });

  it('says how long it took', async () => {
    const slow = await run({}, () => new Promise((resolve) => setTimeout(resolve, 30)));
    if (slow.kind !== 'value') throw new Error('no value');
    expect(slow.costMs).toBeGreaterThanOrEqual(25);
  });

  it('fails with wrong tags or a wrong TTL', async () => {
    const codeOf = async (factory: Factory<number>) => {
      const produced = await run({}, factory);
      return produced.kind === 'failed' ? (produced.error as { code: string }).code : produced.kind;
    };
    expect(await codeOf((context) => (context.setTags(['']), 1))).toBe('KEEP_INVALID_OPTIONS');
    expect(await codeOf((context) => (context.setTtl(-1), 1))).toBe('KEEP_INVALID_TTL');
    expect(await run({ tags: () => [' '] }, () => 1)).toMatchObject({ kind: 'failed' });
  });

  it('leaves no timer behind when it comes before the hard timeout, and does not abort', async () => {
    let signal: AbortSignal | undefined;
    await run({ hardTimeout: '20ms' }, (context) => ((signal = context.signal), 1));
    await new Promise((resolve) => setTimeout(resolve, 40));
    expect(signal?.aborted).toBe(false);
  });
});
