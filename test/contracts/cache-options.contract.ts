import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import {
  Cacheable,
  CacheModule,
  type CacheModuleOptions,
  CachePut,
  CacheService,
  type Factory,
  type FactoryContext,
  type GetOrSetOptions,
  isFactoryTimeoutError,
} from '../../src/index.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { gatedFactory } from '../support/gate.ts';
import type { CacheServiceSetup } from './cache-service.contract.ts';

type Options = Omit<GetOrSetOptions, 'tags'> & { readonly tags?: readonly string[] };

/** A cache to which some options apply, wherever they were given. */
interface Reader {
  readonly cache: CacheService;
  readonly read: <T>(key: string, factory: Factory<T>) => Promise<T>;
}

/** Stale as soon as a moment has passed, and kept for long. */
const SHORT = { ttl: '40ms', grace: '60s', jitter: 0 } as const;
const untilStale = () => sleep(70);
const fails = () => Promise.reject(new Error('the source is away'));

@Injectable()
class Shop {
  runs = 0;
  isAway = false;

  @Cacheable({ key: 'product:{id}' })
  async find(id: string): Promise<string> {
    return this.isAway ? fails() : Promise.resolve(`${id} of run ${++this.runs}`);
  }

  @CachePut({ key: 'product:{id}' })
  async rename(id: string, name: string): Promise<string | null> {
    return Promise.resolve(name === '' ? null : `${id} is ${name}`);
  }
}

/** What each option of a read does, given with the call or as a default of the module; in memory and on a server. */
export function describeCacheOptionsContract(name: string, open: () => Promise<CacheServiceSetup>): void {
  describe(`cache options contract: ${name}`, () => {
    let setup: CacheServiceSetup;
    let shared: CacheApp;
    let apps: CacheApp[] = [];
    let sequence = 0;
    let key: string;

    const openWith = async (cache: CacheModuleOptions['cache']): Promise<CacheApp> => {
      const app = await openCacheApp({ ...setup.options, cache: { ...cache } });
      apps.push(app);
      return app;
    };

    beforeAll(async () => {
      setup = await open();
      shared = await openCacheApp(setup.options);
    });
    afterAll(() => shared.close());
    beforeEach(() => {
      key = `option-${sequence++}`;
    });
    afterEach(async () => {
      await Promise.all(apps.map((app) => app.close()));
      apps = [];
    });

    const WAYS: readonly (readonly [name: string, apply: (options: Options) => Promise<Reader>])[] = [
      [
        'given with the call',
        async (options) => ({
          cache: shared.cache,
          read: (each, factory) => shared.cache.getOrSet(each, options, factory),
        }),
      ],
      [
        'given for the module',
        async (options) => {
          const { cache } = await openWith(options);
          return { cache, read: (each, factory) => cache.getOrSet(each, {}, factory) };
        },
      ],
    ];

    describe.each(WAYS)('%s', (_, apply) => {
      it('ttl says how long a value is fresh', async () => {
        const { cache, read } = await apply({ ttl: '1000s', jitter: 0 });
        await read(key, () => 1);
        expect(await cache.ttl(key)).toBe(1_000);
      });

      it('grace keeps a value for a factory that fails, and shows it to nobody else', async () => {
        const { cache, read } = await apply(SHORT);
        await read(key, () => 'stale');
        await untilStale();
        expect(await cache.get(key)).toBeUndefined();
        expect(await read(key, fails)).toBe('stale');
        await cache.del(key);
        await expect(read(key, fails)).rejects.toThrow('the source is away');
      });

      it('grace ends', async () => {
        const { read } = await apply({ ttl: '40ms', grace: '300ms', jitter: 0 });
        await read(key, () => 'stale');
        await sleep(400);
        await expect(read(key, fails)).rejects.toThrow('the source is away');
      });

      it('staleWhileRevalidate answers at once during the whole grace, and refreshes once', async () => {
        const { read } = await apply({ ...SHORT, staleWhileRevalidate: true });
        await read(key, () => 'stale');
        await untilStale();
        const slow = gatedFactory(() => 'fresh');
        expect([await read(key, slow), await read(key, slow)]).toEqual(['stale', 'stale']);
        slow.open();
        await eventually(async () => (await read(key, fails)) === 'fresh', { everyMs: 2 });
        expect(slow.runs).toBe(1);
      });

      it('staleWhileRevalidate may have a window of its own, which ends before the grace', async () => {
        const { cache, read } = await apply({ ...SHORT, staleWhileRevalidate: '400ms' });
        const [early, late] = [`${key}:early`, `${key}:late`];
        await Promise.all([read(early, () => 'stale'), read(late, () => 'stale')]);
        await untilStale();
        const slow = gatedFactory(() => 'fresh');
        expect(await read(early, slow)).toBe('stale');
        slow.open();
        await sleep(500);
        expect(await read(late, async () => sleep(20, 'waited for'))).toBe('waited for');
        await cache.del(late);
      });

      it('staleWhileRevalidate keeps a value for its window, without any grace', async () => {
        const { read } = await apply({ ttl: '40ms', jitter: 0, staleWhileRevalidate: '60s' });
        await read(key, () => 'stale');
        await untilStale();
        expect(await read(key, () => 'fresh')).toBe('stale');
      });

      it('softTimeout answers stale, and keeps what the factory makes later', async () => {
        const { read } = await apply({ ...SHORT, softTimeout: '30ms' });
        await read(key, () => 'stale');
        await untilStale();
        const slow = gatedFactory(() => 'fresh');
        const startedAt = performance.now();
        expect(await read(key, slow)).toBe('stale');
        expect(performance.now() - startedAt).toBeGreaterThanOrEqual(28);
        slow.open();
        await eventually(async () => (await read(key, fails)) === 'fresh', { everyMs: 2 });
      });

      it('softTimeout does not matter when there is nothing stale', async () => {
        const { read } = await apply({ ...SHORT, softTimeout: '5ms' });
        expect(await read(key, () => sleep(40, 'waited for'))).toBe('waited for');
      });

      it('hardTimeout fails the call and aborts the signal, or answers stale in grace', async () => {
        const { cache, read } = await apply({ ...SHORT, hardTimeout: '40ms' });
        let signal: AbortSignal | undefined;
        const hangs = (context: FactoryContext<string>) => {
          signal = context.signal;
          return new Promise<string>(() => undefined);
        };
        const failure = await read(key, hangs).catch((error: unknown) => error);
        expect(isFactoryTimeoutError(failure)).toBe(true);
        expect([signal?.aborted, signal?.reason]).toEqual([true, failure]);
        await read(key, () => 'stale');
        await untilStale();
        expect(await read(key, hangs)).toBe('stale');
        await cache.del(key);
      });

      it('earlyRefresh renews a value in the background before its end', async () => {
        const { cache, read } = await apply({ ttl: '1s', jitter: 0, earlyRefresh: 0.1 });
        cache.resetMetrics();
        let runs = 0;
        const load = () => read(key, () => `run ${++runs}`);
        await load();
        await eventually(async () => (await load()) !== 'run 1', { withinMs: 1_000, everyMs: 5 });
        expect(cache.getMetrics()).toMatchObject({ misses: 1, failures: 0 });
      });

      it('earlyRefresh leaves a value alone before that share of its TTL', async () => {
        const { read } = await apply({ ttl: '60s', earlyRefresh: 0.9 });
        let runs = 0;
        for (let i = 0; i < 50; i++) await read(key, () => ++runs);
        await sleep(20);
        expect(runs).toBe(1);
      });

      it('jitter shortens, and never lengthens', async () => {
        const { cache, read } = await apply({ ttl: '1000s', jitter: 0.5 });
        const keys = Array.from({ length: 40 }, (_, index) => `${key}:${index}`);
        await Promise.all(keys.map((each) => read(each, () => 1)));
        const ttls = await Promise.all(keys.map((each) => cache.ttl(each)));
        expect(Math.max(...ttls)).toBeLessThanOrEqual(1_000);
        expect(Math.min(...ttls)).toBeGreaterThanOrEqual(499);
        expect(new Set(ttls).size).toBeGreaterThan(15);
      });

      it('tags remove the entry', async () => {
        const { cache, read } = await apply({ tags: [key] });
        await read(key, () => 1);
        expect(await cache.get(key)).toBe(1);
        await cache.delByTag(key);
        expect(await cache.get(key)).toBeUndefined();
      });

      it('cacheNull: false does not keep null', async () => {
        const { cache, read } = await apply({ cacheNull: false });
        expect(await read(key, () => null)).toBeNull();
        expect(await cache.has(key)).toBe(false);
      });

      it('read: frozen hands out one object, copy each reader its own', async () => {
        const frozen = await apply({ read: 'frozen' });
        const twice = async ({ read }: Reader, each: string) => {
          const load = () => read(each, () => ({ list: [1] }));
          await load();
          // The first reads may be from the server: what memory holds counts.
          return eventually(async () => {
            const pair = [await load(), await load()] as const;
            expect(Object.isFrozen(pair[0])).toBe(each.endsWith('frozen'));
            return pair;
          });
        };
        const [first, second] = await twice(frozen, `${key}:frozen`);
        expect(first).toBe(second);
        expect(Object.isFrozen(first.list)).toBe(true);
        const [mine, yours] = await twice(await apply({ read: 'copy' }), `${key}:copy`);
        expect(mine).not.toBe(yours);
      });

      it.each<[string, () => object, (value: never) => unknown]>([
        ['a Map', () => new Map([['a', 1]]), (map: Map<string, number>) => map.set('b', 2)],
        ['a Set in a list', () => [new Set([1])], ([set]: [Set<number>]) => set.add(2)],
        ['a Date in an object', () => ({ at: new Date(0) }), ({ at }: { at: Date }) => at.setTime(1)],
        ['a Buffer', () => Buffer.from([1, 2]), (bytes: Buffer) => (bytes[0] = 9)],
        ['bytes in an object', () => ({ b: new Uint8Array([1]) }), ({ b }: { b: Uint8Array }) => (b[0] = 9)],
        ['a URL', () => new URL('http://a.test/b'), (url: URL) => (url.pathname = '/c')],
      ])('read: frozen never lets one reader change %s of another', async (_, make, change) => {
        const { read } = await apply({ ttl: '60s', read: 'frozen' });
        for (let reader = 0; reader < 3; reader++) change((await read(key, make)) as never);
        expect(await read(key, make)).toEqual(make());
      });

      // A process that has just started may forget again until it has heard of every other one.
      it('tier: l1 keeps a value in this process only, with its grace', async () => {
        const { cache, read } = await apply({ ...SHORT, tier: 'l1' });
        const other = await openWith({});
        await eventually(async () => {
          await cache.del(key);
          await read(key, () => 'here');
          await untilStale();
          expect(await read(key, fails)).toBe('here');
        });
        expect(await other.cache.get(key)).toBeUndefined();
        await cache.del(key);
        await expect(read(key, fails)).rejects.toThrow('the source is away');
      });

      it('tier: l1 keeps a value as long as it is fresh, and says how long that is', async () => {
        const { cache } = await openWith({ tier: 'l1', jitter: 0, l1: { ttl: '200ms' } });
        await eventually(async () => {
          await cache.set(key, 'here', '1m');
          await sleep(300);
          expect(await cache.getOrSet(key, '1m', fails)).toBe('here');
          expect([59, 60]).toContain(await cache.ttl(key));
        });
        expect(await cache.expire(key, '2m')).toBe(true);
        expect([119, 120]).toContain(await cache.ttl(key));
        expect(await cache.get(key)).toBe('here');
        expect(await cache.expire(key, 0)).toBe(true);
        expect([await cache.has(key), await cache.ttl(key), await cache.expire(key, 5)]).toEqual([false, -2, false]);
      });

      it('tier: l1 makes a tagged value stale or absent, too', async () => {
        const { cache, read } = await apply({ ttl: '60s', grace: '60s', tier: 'l1', tags: [key] });
        await eventually(async () => {
          await cache.del(key);
          await read(key, () => 'here');
          expect(await read(key, fails)).toBe('here');
          await cache.expireByTag(key);
          expect(await cache.get(key)).toBeUndefined();
          expect(await read(key, fails)).toBe('here');
        });
        await cache.delByTag(key);
        await expect(read(key, fails)).rejects.toThrow('the source is away');
      });

      it('tier: l1 is counted by delPattern like anything else, once', async () => {
        const { cache } = await openWith({});
        await eventually(async () => {
          await cache.set(`${key}:set`, 1, { ttl: '1m', tier: 'l1' });
          await cache.getOrSet(`${key}:loaded`, { ttl: '1m', tier: 'l1' }, () => 2);
          await cache.setMany([[`${key}:both`, 3], [`${key}:gone`, 4]], '1m'); // prettier-ignore
          await cache.getMany([`${key}:both`, `${key}:gone`]);
          await cache.del(`${key}:gone`);
          expect(await cache.delPattern(`${key}:*`)).toBe(3);
        });
        expect(await cache.delPattern(`${key}:*`)).toBe(0);
        expect(await cache.getMany([`${key}:set`, `${key}:loaded`, `${key}:both`])).toEqual(Array(3).fill(undefined));
      });

      it('tier: l2 holds nothing in the memory in front of the store', async () => {
        const { read } = await apply({ tier: 'l2' });
        const other = await openWith({});
        expect(await read(key, () => 'there')).toBe('there');
        expect(await read(key, fails)).toBe('there');
        if (setup.options.redis === false) return;
        await other.cache.set(key, 'changed');
        expect(await read(key, fails)).toBe('changed');
        expect(await (await openWith({ tier: 'l2' })).cache.getMany([key])).toEqual(['changed']);
      });

      it('schema: what it does not accept is a miss', async () => {
        const schema = {
          '~standard': { validate: (value: unknown) => (typeof value === 'number' ? {} : { issues: ['a number'] }) },
        };
        const { cache, read } = await apply({ schema });
        await cache.set(key, 'text');
        expect(await read(key, () => 5)).toBe(5);
        expect(await read(key, () => 6)).toBe(5);
      });

      it('coalesce: who shares a run of the factory', async () => {
        let runs = 0;
        const factory = () => sleep(30, ++runs);
        const thrice = async ({ read }: Reader, each: string) => {
          runs = 0;
          await Promise.all([read(each, factory), read(each, factory), read(each, factory)]);
          return runs;
        };
        expect(await thrice(await apply({ coalesce: 'off' }), `${key}:off`)).toBe(3);
        expect(await thrice(await apply({ coalesce: 'process' }), `${key}:process`)).toBe(1);
        expect(await thrice(await apply({ coalesce: 'cluster' }), `${key}:cluster`)).toBe(1);
      });
    });

    describe('defaults of the module', () => {
      it('apply to every call that stores', async () => {
        const { cache } = await openWith({ ttl: '1000s', jitter: 0, tags: ['all'] });
        await cache.set(`${key}:set`, 1);
        await cache.setMany([[`${key}:many`, 1]]);
        await cache.getOrSetMany([`${key}:load`], {}, async () => ({ [`${key}:load`]: 1 }));
        await cache.warm([{ key: `${key}:warm`, factory: () => 1 }]);
        await cache.namespace('inner').getOrSet(key, {}, () => 1);
        const keys = ['set', 'many', 'load', 'warm'].map((each) => `${key}:${each}`);
        expect(await Promise.all(keys.map((each) => cache.ttl(each)))).toEqual([1_000, 1_000, 1_000, 1_000]);
        expect(await cache.namespace('inner').ttl(key)).toBe(1_000);
        await cache.delByTag('all');
        expect(await cache.getMany(keys)).toEqual([undefined, undefined, undefined, undefined]);
        expect(await cache.namespace('inner').get(key)).toBeUndefined();
      });

      it('apply to decorators', async () => {
        const options = { ...setup.options, cache: { ...SHORT, tags: ['shop'], cacheNull: false } };
        const imports = [CacheModule.forRoot(options)];
        const module = await Test.createTestingModule({ imports, providers: [Shop] }).compile();
        const [shop, cache] = [module.get(Shop), module.get(CacheService)];
        apps.push({ module, cache, close: () => module.close() });
        await module.init();
        expect([await shop.find(key), await shop.find(key)]).toEqual([`${key} of run 1`, `${key} of run 1`]);
        await untilStale();
        shop.isAway = true;
        expect(await shop.find(key)).toBe(`${key} of run 1`);
        await cache.delByTag('shop');
        await expect(shop.find(key)).rejects.toThrow('the source is away');
        await shop.rename(key, 'new');
        expect(await cache.get(`product:${key}`)).toBe(`${key} is new`);
        await cache.delByTag('shop');
        expect(await cache.get(`product:${key}`)).toBeUndefined();
        await shop.rename(key, 'newer');
        await shop.rename(key, '');
        expect(await cache.get(`product:${key}`)).toBeUndefined();
      });

      it('give way to what a call says, also to its false', async () => {
        const number = {
          '~standard': { validate: (value: unknown) => (typeof value === 'number' ? {} : { issues: ['a number'] }) },
        };
        const { cache } = await openWith({
          ...SHORT,
          softTimeout: '10ms',
          hardTimeout: '20ms',
          earlyRefresh: 0,
          staleWhileRevalidate: true,
          read: 'frozen',
          tags: ['all'],
          schema: number,
        });
        const off = {
          softTimeout: false,
          hardTimeout: false,
          earlyRefresh: false,
          staleWhileRevalidate: false,
          schema: false,
        } as const;
        await cache.getOrSet(key, { ...off, tags: ['own'] }, () => 'text');
        await cache.delByTag('all');
        await untilStale();
        expect(await cache.getOrSet(key, off, fails)).toBe('text');
        expect(await cache.getOrSet(`${key}:slow`, off, () => sleep(60, 'waited for'))).toBe('waited for');
        const read = () => cache.getOrSet(`${key}:copy`, { ...off, ttl: '60s', read: 'copy' }, () => ({ list: [1] }));
        await read();
        expect(Object.isFrozen(await read())).toBe(false);
      });

      it('apply to null that is set, and to what is set for this process only', async () => {
        const { cache } = await openWith({ cacheNull: false, tier: 'l1' });
        const other = await openWith({});
        await eventually(async () => {
          await cache.set(key, { a: 1 });
          expect(await cache.getOrSet(key, {}, fails)).toEqual({ a: 1 });
        });
        expect(await other.cache.get(key)).toBeUndefined();
        await cache.set(key, null);
        expect(await cache.get(key)).toBeUndefined();
        await cache.set(key, 'shared', { tier: 'both' });
        expect(await other.cache.get(key)).toBe(setup.options.redis === false ? undefined : 'shared');
        await cache.set(key, 'mine');
        // It may have held the one before, and hears of this one a moment later.
        await eventually(async () => (await other.cache.get(key)) === undefined);
      });
    });

    describe('the context of a factory', () => {
      const graced = SHORT;
      const makeStale = async (options: object = graced): Promise<void> => {
        await shared.cache.getOrSet(key, options, () => ({ name: 'stale' }));
        await untilStale();
      };

      it('names the key, and holds nothing stale when there is nothing', async () => {
        const seen = await shared.cache.getOrSet(key, graced, (context) => [
          context.key,
          context.staleValue === undefined,
          context.signal.aborted,
        ]);
        expect(seen).toEqual([key, true, false]);
      });

      it('gives a copy of the stale value that the factory may change', async () => {
        await makeStale();
        const seen = await shared.cache.getOrSet<{ name: string }>(key, graced, (context) => {
          const name = context.staleValue?.name;
          if (context.staleValue) context.staleValue.name = 'changed';
          return name === 'stale' ? context.fail('not now') : { name: 'wrong' };
        });
        expect(seen).toEqual({ name: 'stale' });
        expect(await shared.cache.getOrSet(key, graced, fails)).toEqual({ name: 'stale' });
      });

      it('keeps the stale value, fresh again, under its tags', async () => {
        const options = { ...graced, tags: [`${key}:static`] };
        await shared.cache.getOrSet(key, options, (context) => {
          context.setTags([`${key}:dynamic`]);
          return 'stale';
        });
        await untilStale();
        const long = { ...options, ttl: '60s' } as const;
        expect(await shared.cache.getOrSet<string>(key, long, (context) => context.notModified())).toBe('stale');
        expect(await shared.cache.ttl(key)).toBeGreaterThan(50);
        await shared.cache.expireByTag(`${key}:dynamic`);
        expect(await shared.cache.get(key)).toBeUndefined();
        await shared.cache.getOrSet<string>(key, long, (context) => context.notModified());
        expect(await shared.cache.getOrSet<string>(key, { ttl: '60s', tier: 'l2' }, fails)).toBe('stale');
        await shared.cache.delByTag(`${key}:dynamic`);
        expect(await shared.cache.get(key)).toBeUndefined();
      });

      it.each<[answered: string, staleBy: string, answer: Factory<string>]>([
        ['not modified', 'age', (context) => context.notModified()],
        ['not modified', 'a tag', (context) => context.notModified()],
        ['a new value', 'age', () => 'stale, too'],
        ['a new value', 'a tag', () => 'stale, too'],
      ])(
        'keeps nothing that a tag of the stale entry invalidates meanwhile: %s, stale by %s',
        async (_, staleBy, answer) => {
          const isByTag = staleBy === 'a tag';
          const long = { ...graced, ttl: '60s' } as const;
          const load = (options: Options, factory: Factory<string>) =>
            shared.cache.getOrSet<string>(key, options, (context) => {
              context.setTags([`${key}:dynamic`]);
              return factory(context);
            });
          await load(isByTag ? long : graced, () => 'stale');
          if (isByTag) await shared.cache.expireByTag(`${key}:dynamic`);
          else await untilStale();
          const slow = gatedFactory(() => 'read');
          const loaded = load(long, async (context) => {
            await slow();
            return answer(context);
          });
          await slow.entered;
          await shared.cache.delByTag(`${key}:dynamic`);
          slow.open();
          await loaded;
          expect(await shared.cache.get(key)).toBeUndefined();
        },
      );

      it('stores nothing under a tag that was invalidated before its factory named it', async () => {
        const slow = gatedFactory(() => 'read before');
        const loaded = shared.cache.getOrSet(key, graced, async (context) => {
          const value = await slow();
          context.setTags([`${key}:dynamic`]);
          return value;
        });
        await slow.entered;
        await shared.cache.delByTag(`${key}:dynamic`);
        slow.open();
        await loaded;
        expect(await shared.cache.get(key)).toBeUndefined();
      });

      it('cannot keep what is not there', async () => {
        const read = shared.cache.getOrSet(key, graced, (context) => context.notModified());
        await expect(read).rejects.toThrow('there is no stale value to keep');
      });

      it('falls back to the stale value without throwing, and fails without one', async () => {
        await makeStale();
        const gives = (context: FactoryContext) => context.fail('status 503');
        expect(await shared.cache.getOrSet(key, graced, gives)).toEqual({ name: 'stale' });
        await shared.cache.del(key);
        await expect(shared.cache.getOrSet(key, graced, gives)).rejects.toThrow('status 503');
        expect(await shared.cache.has(key)).toBe(false);
      });

      it('takes another TTL, none included', async () => {
        const options = { ttl: '60s', jitter: 0 } as const;
        const set = (ttl: 0 | 500 | '2h') =>
          shared.cache.getOrSet(`${key}:${ttl}`, options, (context) => (context.setTtl(ttl), 1));
        await Promise.all([set(0), set(500), set('2h')]);
        const ttls = await Promise.all([0, 500, '2h'].map((ttl) => shared.cache.ttl(`${key}:${ttl}`)));
        expect(ttls).toEqual([-2, 500, 7_200]);
      });

      it('adds its tags to those of the options, and skips', async () => {
        const options = { tags: (value: string) => [`${key}:${value}`] };
        const store = (value: string) =>
          shared.cache.getOrSet(`${key}:${value}`, options, (context) => {
            context.setTags([`${key}:dynamic`]);
            if (value === 'skipped') context.skip();
            return value;
          });
        await Promise.all([store('a'), store('b'), store('skipped')]);
        const found = () => shared.cache.getMany(['a', 'b', 'skipped'].map((value) => `${key}:${value}`));
        expect(await found()).toEqual(['a', 'b', undefined]);
        await shared.cache.delByTag(`${key}:a`);
        expect(await found()).toEqual([undefined, 'b', undefined]);
        await shared.cache.delByTag(`${key}:dynamic`);
        expect(await found()).toEqual([undefined, undefined, undefined]);
      });
    });
  });
}
