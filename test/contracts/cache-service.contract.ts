import { setTimeout as sleep } from 'node:timers/promises';
import type { CacheModuleOptions, CacheService } from '../../src/index.ts';
import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { gatedFactory } from '../support/gate.ts';

export interface CacheServiceSetup {
  readonly options: CacheModuleOptions;
}

/** Every way to say that a value is wrong now. */
const INVALIDATIONS: readonly [name: string, invalidate: (cache: CacheService, key: string) => Promise<unknown>][] = [
  ['del', (cache, key) => cache.del(key)],
  ['delByTag', (cache) => cache.delByTag('story')],
  ['expireByTag', (cache) => cache.expireByTag('story')],
  ['delPattern', (cache, key) => cache.delPattern(`${key.slice(0, -1)}*`)],
  ['reset', (cache) => cache.reset()],
  ['del of another key and then this one', (cache, key) => cache.del('something:else', key)],
];

const STORABLE: readonly [name: string, value: unknown][] = [
  ['an object', { a: 1, b: { c: [1, 2, { d: 'e' }] } }],
  ['an array', [1, 'two', null, { three: 3 }]],
  ['text', 'plain text'],
  ['text that looks like JSON', '{"a":1}'],
  ['an empty text', ''],
  ['text outside the basic plane', 'naïve 日本語 😀'],
  ['zero', 0],
  ['a float', -12.5e-8],
  ['NaN', NaN],
  ['Infinity', Infinity],
  ['minus zero', -0],
  ['true', true],
  ['false', false],
  ['null', null],
  ['undefined inside an object', { a: undefined, b: 1 }],
  ['a Date', new Date('2024-02-29T12:34:56.789Z')],
  ['a Map', new Map<unknown, unknown>([['a', 1], [{ k: 1 }, new Set([1])]])], // prettier-ignore
  ['a Set', new Set(['a', 1, null])],
  ['a BigInt', 2n ** 70n],
  ['a Buffer', Buffer.from([0, 1, 255])],
  ['a Uint8Array', new Uint8Array([9, 8, 7])],
  ['a URL', new URL('https://user@example.org:8080/p?q=1#h')],
  ['a RegExp', /a+b/giu],
  ['values nested in values', { at: new Date(0), list: [new Map([['x', 5n]])], none: undefined }],
];

/** What `CacheService` promises, in memory and on a server. */
export function describeCacheServiceContract(name: string, open: () => Promise<CacheServiceSetup>): void {
  describe(`cache service contract: ${name}`, () => {
    let setup: CacheServiceSetup;
    let app: CacheApp;
    let cache: CacheService;
    let sequence = 0;
    let key: string;

    beforeAll(async () => {
      setup = await open();
      app = await openCacheApp(setup.options);
      cache = app.cache;
    });
    afterAll(() => app.close());
    beforeEach(() => {
      key = `k:${sequence++}:a`;
      cache.resetMetrics();
    });

    describe('values', () => {
      it.each(STORABLE)('gives back %s as it was stored', async (_, value) => {
        await cache.set(key, value, 60);
        expect(await cache.get(key)).toStrictEqual(value);
        await cache.del(key);
        expect(await cache.getOrSet(key, 60, () => value)).toBe(value);
        expect(await cache.getOrSet(key, 60, () => 'not called')).toStrictEqual(value);
      });

      it('gives back an Error with name, message and cause', async () => {
        await cache.set(key, new TypeError('boom', { cause: 'x' }));
        const stored = await cache.get<Error>(key);
        expect(stored).toBeInstanceOf(Error);
        expect(stored).toMatchObject({ name: 'TypeError', message: 'boom', cause: 'x' });
      });

      it('gives every reader a copy of its own', async () => {
        const original = { list: [1] };
        await cache.set(key, original);
        original.list.push(2);
        const first = await cache.get<typeof original>(key);
        first?.list.push(3);
        expect(await cache.get(key)).toEqual({ list: [1] });
      });

      it('gives concurrent callers of one factory copies of their own', async () => {
        const read = () => cache.getOrSet(key, 60, async () => ({ list: [1] }));
        const all = await Promise.all([read(), read(), read()]);
        all[0].list.push(2);
        expect(all[1]).toEqual({ list: [1] });
        expect(all[1]).not.toBe(all[2]);
      });

      it('keeps large values', async () => {
        const value = { text: 'lorem ipsum '.repeat(20_000) };
        await cache.set(key, value);
        expect(await cache.get(key)).toEqual(value);
      });

      it('does not let a stored __proto__ reach a prototype', async () => {
        await cache.set(key, JSON.parse('{"__proto__":{"polluted":true},"a":1}'));
        const value = await cache.get<object>(key);
        expect(Object.assign({}, value)).toEqual({ a: 1 });
        expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
      });

      it('does not store undefined, and stores null unless told not to', async () => {
        let runs = 0;
        const factory = (value: unknown) => () => {
          runs++;
          return value;
        };
        await cache.getOrSet(`${key}:u`, 60, factory(undefined));
        await cache.getOrSet(`${key}:u`, 60, factory(undefined));
        expect(runs).toBe(2);
        await cache.getOrSet(`${key}:n`, 60, factory(null));
        expect(await cache.getOrSet(`${key}:n`, 60, factory(1))).toBeNull();
        expect(runs).toBe(3);
        await cache.getOrSet(`${key}:m`, { ttl: '60s', cacheNull: false }, factory(null));
        await cache.getOrSet(`${key}:m`, { ttl: '60s', cacheNull: false }, factory(null));
        expect(runs).toBe(5);
      });

      it.each([
        ['a function', { callback: () => 1 }],
        ['a symbol', { symbol: Symbol('s') }],
        ['a cycle', Object.assign({} as Record<string, unknown>, { get self() { return this; } })], // prettier-ignore
      ])('returns %s from a factory without storing it, and refuses to set it', async (_, value) => {
        expect(await cache.getOrSet(key, 60, () => value)).toBe(value);
        expect(await cache.getOrSet(key, 60, () => 'next')).toBe('next');
        expect(cache.getMetrics().unstorable).toBe(1);
        await cache.set(key, 'before');
        await expect(cache.set(key, value)).rejects.toMatchObject({ code: 'KEEP_INVALID_VALUE' });
        expect(await cache.get(key)).toBe('before');
      });

      it('returns a value over the size limit without storing it', async () => {
        const value = Array.from({ length: 300_000 }, (_, index) => String(index * 7_919));
        expect(await cache.getOrSet(key, 60, () => value)).toBe(value);
        expect(await cache.get(key)).toBeUndefined();
        expect(cache.getMetrics().oversize).toBe(1);
      });

      it('leaves nothing behind when a set value is too large', async () => {
        await cache.set(key, 'old');
        await cache.set(key, 'x'.repeat(3 * 1024 ** 2));
        expect(await cache.get(key)).toBeUndefined();
      });
    });

    describe('keys and times', () => {
      it('says how long a key lives', async () => {
        await cache.set(key, 1, 3600);
        expect(await cache.ttl(key)).toBe(3600);
        expect(await cache.ttl('absent')).toBe(-2);
        await cache.sadd(`${key}:set`, 'a');
        expect(await cache.ttl(`${key}:set`)).toBe(-1);
        expect(await cache.expire(`${key}:set`, 100)).toBe(true);
        expect(await cache.ttl(`${key}:set`)).toBe(100);
      });

      it('changes how long a key lives', async () => {
        await cache.set(key, 1, 3600);
        expect(await cache.expire(key, '10s')).toBe(true);
        expect(await cache.ttl(key)).toBe(10);
        expect(await cache.expire(key, 0)).toBe(true);
        expect(await cache.has(key)).toBe(false);
        expect(await cache.expire(key, 10)).toBe(false);
      });

      it('forgets a value after its TTL', async () => {
        await cache.set(key, 1, '500ms');
        expect(await cache.get(key)).toBe(1);
        await eventually(async () => !(await cache.has(key)));
        expect(await cache.get(key)).toBeUndefined();
      });

      it('stores nothing with a TTL of 0, and does not leave the value before it', async () => {
        await cache.set(key, 'old');
        await cache.set(key, 'new', 0);
        expect(await cache.get(key)).toBeUndefined();
        let runs = 0;
        const read = () => cache.getOrSet(key, 0, () => ++runs);
        expect([await read(), await read()]).toEqual([1, 2]);
      });

      it.each([[-1], [NaN], [Infinity], ['60'], [1e20], ['5 m']])(
        'refuses a TTL of %p before anything happens',
        async (ttl) => {
          await cache.set(key, 'old');
          await expect(cache.set(key, 'new', ttl as number)).rejects.toMatchObject({ code: 'KEEP_INVALID_TTL' });
          const factory = jest.fn();
          await expect(cache.getOrSet(key, ttl as number, factory)).rejects.toMatchObject({ code: 'KEEP_INVALID_TTL' });
          expect(factory).not.toHaveBeenCalled();
          expect(await cache.get(key)).toBe('old');
        },
      );

      it.each([[''], [' '], [undefined], [null], [NaN], [{}], [Symbol('k')], [0]])(
        'refuses %p as a key',
        async (wrong) => {
          const bad = wrong as string;
          const code = { code: 'KEEP_INVALID_KEY' };
          await expect(cache.get(bad)).rejects.toMatchObject(code);
          await expect(cache.set(bad, 1)).rejects.toMatchObject(code);
          await expect(cache.getOrSet(bad, 1, () => 1)).rejects.toMatchObject(code);
          await expect(cache.del('fine', bad)).rejects.toMatchObject(code);
          await expect(cache.has(bad)).rejects.toMatchObject(code);
          await expect(cache.delPattern(bad)).rejects.toMatchObject(code);
          await expect(cache.namespace('n').get(bad)).rejects.toMatchObject(code);
        },
      );

      it('answers every wrong key with a rejection, never with an exception', async () => {
        const bad = ' ';
        const calls: (() => Promise<unknown>)[] = [
          () => cache.ttl(bad),
          () => cache.expire(bad, 1),
          () => cache.getMany([bad]),
          () => cache.setMany([[bad, 1]]),
          () => cache.getOrSetMany([bad], 1, async () => ({})),
          () => cache.sadd(bad, 'm'),
          () => cache.srem(bad, 'm'),
          () => cache.sismember(bad, 'm'),
          () => cache.smembers(bad),
          () => cache.scard(bad),
          () => cache.hset(bad, 'f', 'v'),
          () => cache.hget(bad, 'f'),
          () => cache.hgetall(bad),
          () => cache.hdel(bad, 'f'),
          () => cache.lpush(bad, 'v'),
          () => cache.rpush(bad, 'v'),
          () => cache.lpop(bad),
          () => cache.rpop(bad),
          () => cache.lrange(bad, 0, -1),
          () => cache.incr(bad),
          () => cache.incrby(bad, 2),
          () => cache.decr(bad),
          () => cache.publish(bad, 1),
          () => cache.subscribe(bad, () => undefined),
          () => cache.acquireLock(bad, 1_000),
          () => cache.releaseLock(bad, 'token'),
          () => cache.checkRateLimit(bad, 1, 1),
        ];
        const answers = calls.map((call) => call());
        for (const answer of answers) await expect(answer).rejects.toMatchObject({ code: 'KEEP_INVALID_KEY' });
      });

      it('refuses null as a TTL, which callers without types may say', async () => {
        const none = null as unknown as number;
        const code = { code: 'KEEP_INVALID_TTL' };
        await expect(cache.set(key, 1, none)).rejects.toMatchObject(code);
        await expect(cache.getOrSet(key, none, () => 1)).rejects.toMatchObject(code);
        const { failed } = await cache.warm([{ key, ttl: none, factory: () => 1 }]);
        expect(failed).toMatchObject([{ error: code }]);
      });

      it.each([[[]], [['5s']]])(
        'refuses the list %j where options belong, also after options that say nothing',
        async (list) => {
          const code = { code: 'KEEP_INVALID_OPTIONS' };
          const options = list as unknown as object;
          const factory = jest.fn();
          await cache.getOrSet(key, {}, () => 1);
          await cache.set(key, 1, {});
          await expect(cache.set(key, 2, options)).rejects.toMatchObject(code);
          await expect(cache.setMany([[key, 2]], options)).rejects.toMatchObject(code);
          await expect(cache.getOrSet(key, options, factory)).rejects.toMatchObject(code);
          await expect(cache.getOrSetMany([key], options, factory)).rejects.toMatchObject(code);
          await expect(cache.expire(key, list as unknown as '5s')).rejects.toMatchObject({ code: 'KEEP_INVALID_TTL' });
          const { failed } = await cache.warm([{ key: `${key}:warm`, ttl: options, factory }]);
          expect(failed).toMatchObject([{ error: code }]);
          expect(factory).not.toHaveBeenCalled();
          expect(await cache.get(key)).toBe(1);
        },
      );

      it.each([
        ['x\r\nDEL y'],
        ['__proto__'],
        ['constructor'],
        ['a\0b'],
        ['{tag}'],
        ['key with blanks'],
        ['k'.repeat(100_000)],
      ])('takes %j as an ordinary key', async (odd) => {
        const value = `value of ${odd.slice(0, 10)}`;
        await cache.set(odd, value);
        expect(await cache.get(odd)).toBe(value);
        expect(await cache.get(`${odd}x`)).toBeUndefined();
        await cache.del(odd);
        expect(await cache.has(odd)).toBe(false);
      });

      it('keeps two long keys with the same beginning apart', async () => {
        const long = 'k'.repeat(400);
        await cache.setMany([[`${long}1`, 1], [`${long}2`, 2]]); // prettier-ignore
        expect(await cache.getMany([`${long}1`, `${long}2`])).toEqual([1, 2]);
      });
    });

    describe('loading', () => {
      it('spreads the ends of entries loaded together, and never beyond their TTL', async () => {
        const keys = Array.from({ length: 60 }, (_, index) => `${key}:${index}`);
        await Promise.all(keys.map((each) => cache.getOrSet(each, { ttl: '1000s', jitter: 0.5 }, () => 1)));
        const ttls = await Promise.all(keys.map((each) => cache.ttl(each)));
        expect(Math.max(...ttls)).toBeLessThanOrEqual(1_000);
        expect(Math.min(...ttls)).toBeGreaterThanOrEqual(499);
        expect(new Set(ttls).size).toBeGreaterThan(20);
      });

      it('runs the factory once for a thousand callers of a cold key', async () => {
        let runs = 0;
        const factory = async () => {
          runs++;
          await sleep(50);
          return { runs };
        };
        const all = await Promise.all(Array.from({ length: 1_000 }, () => cache.getOrSet(key, 300, factory)));
        expect(runs).toBe(1);
        expect(all.every((value) => value.runs === 1)).toBe(true);
        expect(cache.getMetrics()).toMatchObject({ loads: 1, coalesced: 999 });
      });

      it('counts every read once', async () => {
        await cache.getOrSet(key, 60, () => 1);
        await cache.getOrSet(key, 60, () => 1);
        await cache.get(key);
        await cache.get('absent');
        await cache.getOrSet(`${key}:f`, 60, () => Promise.reject(new Error('no'))).catch(() => undefined);
        expect(cache.getMetrics()).toMatchObject({ hits: 2, misses: 2, failures: 1, stale: 0, hitRate: 0.4 });
      });

      it('shares the failure of a factory with those who wait, and stores nothing', async () => {
        let runs = 0;
        const factory = async () => {
          runs++;
          await sleep(20);
          throw new Error('source is down');
        };
        const all = await Promise.allSettled(Array.from({ length: 20 }, () => cache.getOrSet(key, 60, factory)));
        expect(runs).toBe(1);
        expect(all.every((each) => each.status === 'rejected')).toBe(true);
        expect(await cache.getOrSet(key, 60, () => 'up again')).toBe('up again');
      });

      it('turns a factory that throws at once into a rejection', async () => {
        const factory = () => {
          throw new TypeError('at once');
        };
        await expect(cache.getOrSet(key, 60, factory)).rejects.toThrow(new TypeError('at once'));
      });

      it('finds a factory that waits for its own key', async () => {
        const factory = (): Promise<unknown> => cache.getOrSet(key, 60, factory);
        await expect(cache.getOrSet(key, 60, factory)).rejects.toMatchObject({ code: 'KEEP_REENTRANT_LOAD' });
        const later = async (): Promise<unknown> => {
          await sleep(5);
          await cache.delByTag('unrelated');
          return cache.getOrSet(key, 60, later);
        };
        await expect(cache.getOrSet(key, 60, later)).rejects.toMatchObject({ code: 'KEEP_REENTRANT_LOAD' });
      });

      it('finds two factories that wait for each other', async () => {
        const [a, b] = [`${key}:a`, `${key}:b`];
        const outcomes = await Promise.allSettled([
          cache.getOrSet(a, 60, async () => (await sleep(10), cache.getOrSet(b, 60, () => 'b'))),
          cache.getOrSet(b, 60, async () => (await sleep(10), cache.getOrSet(a, 60, () => 'a'))),
        ]);
        expect(outcomes.some((each) => each.status === 'rejected')).toBe(true);
      });

      it('lets a factory load other keys', async () => {
        const outer = () => cache.getOrSet(`${key}:inner`, 60, () => 'inner');
        expect(await cache.getOrSet(key, 60, outer)).toBe('inner');
      });

      it('aborts and fails at the hard timeout, and does not wait for the factory', async () => {
        let aborted = false;
        const factory = ({ signal }: { signal: AbortSignal }) =>
          new Promise<string>(() => signal.addEventListener('abort', () => (aborted = true)));
        const read = cache.getOrSet(key, { ttl: '60s', hardTimeout: '30ms' }, factory);
        await expect(read).rejects.toMatchObject({ code: 'KEEP_FACTORY_TIMEOUT' });
        expect(aborted).toBe(true);
        expect(await cache.getOrSet(key, 60, () => 'free')).toBe('free');
      });

      it('takes a TTL, tags and skip from the factory', async () => {
        await cache.getOrSet(key, 60, (context) => {
          context.setTtl(1_000);
          context.setTags(['dynamic']);
          return context.key;
        });
        expect(await cache.get(key)).toBe(key);
        expect(await cache.ttl(key)).toBeGreaterThan(800);
        await cache.delByTag('dynamic');
        expect(await cache.get(key)).toBeUndefined();
        await cache.getOrSet(key, 60, (context) => (context.skip(), 'skipped'));
        expect(await cache.get(key)).toBeUndefined();
      });

      it('always runs the factory with coalesce off, and once per process with coalesce process', async () => {
        let runs = 0;
        const factory = async () => {
          runs++;
          await sleep(20);
          return runs;
        };
        const read = (coalesce: 'off' | 'process') => cache.getOrSet(`${key}:${coalesce}`, { coalesce }, factory);
        await Promise.all([read('off'), read('off'), read('off')]);
        expect(runs).toBe(3);
        await Promise.all([read('process'), read('process'), read('process')]);
        expect(runs).toBe(4);
      });

      it('refuses a bare number inside options: nobody could tell its unit', async () => {
        const options = { ttl: 60 } as unknown as { ttl: '60s' };
        await expect(cache.getOrSet(key, options, () => 1)).rejects.toMatchObject({ code: 'KEEP_INVALID_TTL' });
        await expect(cache.set(key, 1, options)).rejects.toMatchObject({ code: 'KEEP_INVALID_TTL' });
      });

      it.each([
        ['an unknown option', { tll: '5m' }],
        ['a jitter over 1', { jitter: 2 }],
        ['a wrong duration', { grace: '5 minutes' }],
        ['tags that are not texts', { tags: [1] }],
        ['a wrong way to coalesce', { coalesce: 'always' }],
      ])('refuses %s', async (_, options) => {
        const factory = jest.fn();
        const read = cache.getOrSet(key, options as object, factory);
        await expect(read).rejects.toMatchObject({ code: 'KEEP_INVALID_OPTIONS' });
        expect(factory).not.toHaveBeenCalled();
      });
    });

    describe('invalidation', () => {
      it.each(INVALIDATIONS)('never serves what a factory had read before %s', async (_, invalidate) => {
        let source = 'old';
        const slow = gatedFactory(() => source);
        const options = { ttl: '60s', tags: ['story'] } as const;
        const first = cache.getOrSet(key, options, slow);
        await slow.entered;
        source = 'new';
        await invalidate(cache, key);
        expect(await cache.getOrSet(key, options, () => source)).toBe('new');
        slow.open();
        expect(await first).toBe('old');
        expect(await cache.get(key)).toBe('new');
        expect(await cache.getOrSet(key, options, () => 'not called')).toBe('new');
        expect(cache.getMetrics().rejectedFills).toBe(1);
      });

      it('does not store what a factory had read when nobody asked again before it ended', async () => {
        let source = 'old';
        const slow = gatedFactory(() => source);
        const first = cache.getOrSet(key, 60, slow);
        await slow.entered;
        source = 'new';
        await cache.del(key);
        slow.open();
        await first;
        expect(await cache.get(key)).toBeUndefined();
      });

      it('keeps what was set while a factory ran', async () => {
        const slow = gatedFactory(() => 'loaded');
        const first = cache.getOrSet(key, 60, slow);
        await slow.entered;
        await cache.set(key, 'set');
        expect(await cache.getOrSet(key, 60, () => 'not called')).toBe('set');
        slow.open();
        expect(await first).toBe('loaded');
        expect(await cache.get(key)).toBe('set');
      });

      it('never stores a value whose late tag was invalidated while it was loaded', async () => {
        await cache.delByTag('late');
        const slow = gatedFactory(() => 'old');
        const options = { ttl: '60s', tags: () => ['late'] } as const;
        const first = cache.getOrSet(key, options, slow);
        await slow.entered;
        await cache.delByTag('late');
        slow.open();
        await first;
        expect(await cache.get(key)).toBeUndefined();
        await sleep(5);
        await cache.getOrSet(key, options, () => 'new');
        expect(await cache.get(key)).toBe('new');
      });

      it('removes by tag exactly what carries it', async () => {
        await cache.set(`${key}:1`, 1, { tags: ['red', 'round'] });
        await cache.set(`${key}:2`, 2, { tags: ['red'] });
        await cache.set(`${key}:3`, 3, { tags: ['round'] });
        await cache.set(`${key}:4`, 4);
        await cache.delByTag('red');
        expect(await cache.getMany([1, 2, 3, 4].map((each) => `${key}:${each}`))).toEqual([undefined, undefined, 3, 4]);
        expect(await cache.ttl(`${key}:1`)).toBe(-2);
        expect(await cache.has(`${key}:2`)).toBe(false);
      });

      it('removes by as many tags as the caller likes', async () => {
        const tags = Array.from({ length: 150 }, (_, index) => `${key}:${index}`);
        await cache.setMany([[`${key}:1`, 1]], { tags: [tags[0]!] });
        await cache.setMany([[`${key}:2`, 2]], { tags: [tags[149]!] });
        await cache.delByTag(...tags);
        expect(await cache.getMany([`${key}:1`, `${key}:2`])).toEqual([undefined, undefined]);
        await expect(cache.delByTag(tags[0]!, '')).rejects.toMatchObject({ code: 'KEEP_INVALID_OPTIONS' });
      });

      it('removes by pattern exactly what matches, and counts it', async () => {
        await cache.setMany(['feed:1:a', 'feed:1:b', 'feed:2:a'].map((each) => [`${key}:${each}`, 1]));
        expect(await cache.delPattern(`${key}:feed:1:*`)).toBe(2);
        expect(await cache.getMany([`${key}:feed:1:a`, `${key}:feed:2:a`])).toEqual([undefined, 1]);
        expect(await cache.delPattern(`${key}:feed:[2]:?`)).toBe(1);
      });

      it('counts what it removes by pattern wherever the keys are (F34)', async () => {
        const names = Array.from({ length: 300 }, (_, index) => `${key}:many:${index}`);
        await cache.setMany([...names, `${key}:other`].map((name) => [name, 1]));
        expect(await cache.delPattern(`${key}:many:*`)).toBe(300);
        expect(await cache.getMany([...names, `${key}:other`])).toEqual([...names.map(() => undefined), 1]);
      });

      it('empties the cache with reset, collections included', async () => {
        await cache.set(key, 1);
        await cache.sadd(`${key}:s`, 'a');
        await cache.reset();
        expect(await cache.get(key)).toBeUndefined();
        expect(await cache.scard(`${key}:s`)).toBe(0);
        await cache.set(key, 2);
        expect(await cache.get(key)).toBe(2);
      });

      it('empties one namespace and no other', async () => {
        const [a, b] = [cache.namespace('a'), cache.namespace('b')];
        await Promise.all([a.set('x', 'a'), b.set('x', 'b'), a.namespace('c').set('x', 'ac'), cache.set('x', 'root')]);
        expect(await Promise.all([a.get('x'), b.get('x'), a.namespace('c').get('x')])).toEqual(['a', 'b', 'ac']);
        await a.reset();
        expect(await Promise.all([a.get('x'), a.namespace('c').get('x')])).toEqual([undefined, undefined]);
        expect(await Promise.all([b.get('x'), cache.get('x')])).toEqual(['b', 'root']);
      });
    });

    describe('stale values', () => {
      const graced = { ttl: '40ms', grace: '60s', jitter: 0 } as const;
      const makeStale = async (options: object = graced): Promise<void> => {
        await cache.getOrSet(key, options, () => 'stale');
        await sleep(70);
      };

      it('serves a stale value when the factory fails, in grace only', async () => {
        await makeStale();
        const fails = () => Promise.reject(new Error('down'));
        expect(await cache.getOrSet(key, graced, fails)).toBe('stale');
        expect(cache.getMetrics().stale).toBe(1);
        expect(await cache.get(key)).toBeUndefined();
        await expect(cache.getOrSet(key, '40ms', fails)).rejects.toThrow('down');
      });

      it('serves stale at once and refreshes in the background', async () => {
        const options = { ...graced, staleWhileRevalidate: true } as const;
        await makeStale(options);
        const slow = gatedFactory(() => 'fresh');
        expect(await cache.getOrSet(key, options, slow)).toBe('stale');
        expect(await cache.getOrSet(key, options, slow)).toBe('stale');
        slow.open();
        await eventually(async () => (await cache.get(key)) === 'fresh', { everyMs: 2 });
        expect(slow.runs).toBe(1);
      });

      it('waits for the soft timeout and stores what comes later', async () => {
        const options = { ...graced, softTimeout: '30ms' } as const;
        await makeStale();
        const slow = gatedFactory(() => 'fresh');
        expect(await cache.getOrSet(key, options, slow)).toBe('stale');
        slow.open();
        await eventually(async () => (await cache.get(key)) === 'fresh', { everyMs: 2 });
        expect(await cache.getOrSet(key, options, () => 'quick')).toMatch(/fresh|quick/);
      });

      it('makes a tag stale for those who have grace, and absent for the others', async () => {
        await cache.getOrSet(key, { ttl: '60s', grace: '60s', tags: ['t'] }, () => 'kept');
        await cache.expireByTag('t');
        const fails = () => Promise.reject(new Error('down'));
        const slow = gatedFactory(() => 'fresh');
        const waiting = cache.getOrSet(`${key}:waits`, { ttl: '60s', grace: '60s', tags: ['t'] }, slow);
        slow.open();
        expect(await waiting).toBe('fresh');
        expect(await cache.getOrSet(key, { ttl: '60s', grace: '60s', tags: ['t'] }, fails)).toBe('kept');
        expect(cache.getMetrics().loads).toBe(3);
        expect(await cache.get(key)).toBeUndefined();
        expect(await cache.getOrSet(key, { ttl: '60s', tags: ['t'] }, () => 'fresh')).toBe('fresh');
      });

      it('lets a factory keep the stale value, or fall back to it', async () => {
        await makeStale();
        const seen = await cache.getOrSet<string>(key, { ...graced, ttl: '60s' }, (context) => {
          expect(context.staleValue).toBe('stale');
          return context.notModified();
        });
        expect(seen).toBe('stale');
        expect(await cache.get(key)).toBe('stale');
        await cache.expire(key, '1ms');
        await sleep(10);
        expect(await cache.getOrSet<string>(key, graced, (context) => context.fail('no answer'))).toBe('stale');
        await cache.del(key);
        await expect(cache.getOrSet(key, graced, (context) => context.fail('no answer'))).rejects.toThrow('no answer');
      });
    });

    describe('refreshes', () => {
      it('leaves a source that fails alone for a while, and serves stale meanwhile', async () => {
        const options = { ttl: '40ms', grace: '60s', jitter: 0 } as const;
        await cache.getOrSet(key, options, () => 'stale');
        await sleep(70);
        let runs = 0;
        const fails = () => {
          runs++;
          return Promise.reject(new Error('down'));
        };
        for (let i = 0; i < 5; i++) expect(await cache.getOrSet(key, options, fails)).toBe('stale');
        expect(runs).toBe(1);
      });

      it('refreshes in the background before the end, once, and not before the given share of the TTL', async () => {
        const options = { ttl: '3s', earlyRefresh: 0.2, jitter: 0 } as const;
        let runs = 0;
        const read = () => cache.getOrSet(key, options, () => `run ${++runs}`);
        await read();
        for (let i = 0; i < 20; i++) await read();
        expect(runs).toBe(1);
        await eventually(async () => (await read()) === 'run 2', { withinMs: 2_950, everyMs: 5 });
        expect(await cache.ttl(key)).toBeGreaterThanOrEqual(2);
        expect(cache.getMetrics().misses).toBe(1);
      });

      it('takes a stored value that its schema does not accept for none', async () => {
        const schema = {
          '~standard': { validate: (value: unknown) => (typeof value === 'number' ? {} : { issues: ['a number'] }) },
        };
        await cache.set(key, 'text');
        await cache.get(key);
        expect(await cache.getOrSet(key, { schema }, () => 5)).toBe(5);
        expect(await cache.getOrSet(key, { schema }, () => 6)).toBe(5);
        expect(await cache.get(key)).toBe(5);
      });

      it('keeps a value in the tier that was asked for', async () => {
        const [here, there] = [`${key}:l1`, `${key}:l2`];
        const other = await openCacheApp(setup.options);
        await eventually(async () => (await cache.getOrSet(here, { tier: 'l1' }, () => 1)) === 1);
        await eventually(async () => (await cache.getOrSet(here, { tier: 'l1' }, () => Math.random())) === 1);
        expect(await cache.getOrSet(there, { tier: 'l2' }, () => 2)).toBe(2);
        expect(await other.cache.get(here)).toBeUndefined();
        expect(await other.cache.get(there)).toBe(setup.options.redis === false ? undefined : 2);
        await cache.del(here);
        expect(await cache.getOrSet(here, { tier: 'l1' }, () => 'again')).toBe('again');
        await other.close();
      });

      it('hands out one frozen object to all who want it', async () => {
        const read = () => cache.getOrSet(key, { read: 'frozen' }, () => ({ list: [1] }));
        await read();
        await eventually(async () => {
          const [first, second] = [await read(), await read()];
          expect(first).toBe(second);
          expect(Object.isFrozen(first.list)).toBe(true);
        });
      });
    });

    describe('many keys', () => {
      it('reads and writes many keys in order', async () => {
        const keys = Array.from({ length: 250 }, (_, index) => `${key}:${index}`);
        await cache.setMany(keys.map((each, index) => [each, index]));
        expect(await cache.getMany([...keys, 'absent'])).toEqual([...keys.keys(), undefined]);
      });

      it('writes values of all kinds in one call, and the last one of a key wins', async () => {
        const kinds: unknown[] = [
          { plain: 1 },
          'text',
          Buffer.from([0, 255]),
          new Date(7),
          new Map([[1, new Set([2])]]),
        ];
        const names = kinds.map((_, at) => `${key}:${at}`);
        const alternating = [...names, ...names].map((name, at): [string, unknown] => [name, kinds[(at * 3) % 5]]);
        await cache.setMany([...alternating, ...names.map((name, at): [string, unknown] => [name, kinds[at]])]);
        expect(await cache.getMany(names)).toEqual(kinds);
      });

      it('writes nothing when one of many values cannot be stored', async () => {
        const entries = Array.from({ length: 250 }, (_, at): [string, unknown] => [`${key}:${at}`, at]);
        entries[240]![1] = () => 'a function';
        await expect(cache.setMany(entries)).rejects.toMatchObject({ code: 'KEEP_INVALID_VALUE' });
        expect(await cache.getMany([`${key}:0`, `${key}:249`])).toEqual([undefined, undefined]);
      });

      it('loads what is missing with one call of the factory', async () => {
        await cache.set(`${key}:b`, 'cached');
        const factory = jest.fn(async (missing: string[]) => new Map(missing.map((each) => [each, `loaded ${each}`])));
        const keys = ['a', 'b', 'c', 'a'].map((each) => `${key}:${each}`);
        const found = await cache.getOrSetMany(keys, 60, factory);
        expect(factory.mock.calls).toEqual([[[`${key}:a`, `${key}:c`]]]);
        expect([...found.values()]).toEqual([`loaded ${key}:a`, 'cached', `loaded ${key}:c`]);
        await cache.getOrSetMany(keys, 60, factory);
        expect(factory).toHaveBeenCalledTimes(1);
      });

      it('takes a record from the factory, and leaves out what it does not mention', async () => {
        const found = await cache.getOrSetMany([`${key}:a`, `${key}:b`], 60, async () => ({ [`${key}:a`]: 1 }));
        expect([...found]).toEqual([[`${key}:a`, 1]]);
        expect(await cache.has(`${key}:b`)).toBe(false);
      });

      it('fails as a whole when the factory fails', async () => {
        const factory = () => Promise.reject(new Error('no'));
        await expect(cache.getOrSetMany([`${key}:a`, `${key}:b`], 60, factory)).rejects.toThrow('no');
      });

      it('warms what is cold and reports what failed', async () => {
        await cache.set(`${key}:there`, 1);
        const report = await cache.warm([
          { key: `${key}:there`, factory: () => 2 },
          { key: `${key}:cold`, ttl: 60, factory: () => 3 },
          { key: `${key}:bad`, factory: () => Promise.reject(new Error('no')) },
        ]);
        expect(report).toMatchObject({ loaded: 1, skipped: 1, failed: [{ key: `${key}:bad` }] });
        expect(report.durationMs).toBeGreaterThanOrEqual(0);
        expect(await cache.get(`${key}:cold`)).toBe(3);
      });

      it.each([0, -1, NaN, 1.5, Infinity, '3', null])('refuses to warm %p keys at a time', async (concurrency) => {
        const options = { concurrency: concurrency as number };
        const factory = jest.fn();
        await expect(cache.warm([{ key, factory }], options)).rejects.toMatchObject({ code: 'KEEP_INVALID_OPTIONS' });
        expect(factory).not.toHaveBeenCalled();
      });
    });

    describe('roll-out', () => {
      const openWith = (changes: CacheModuleOptions['cache']) =>
        openCacheApp({ ...setup.options, cache: { ...changes } });

      it('always runs the factory when caching is switched off, and still sets and gets', async () => {
        const off = await openWith({ enabled: false });
        let runs = 0;
        const read = () => off.cache.getOrSet(key, 60, () => ++runs);
        expect([await read(), await read()]).toEqual([1, 2]);
        await off.cache.set(key, 'set');
        expect(await off.cache.get(key)).toBe('set');
        await expect(off.cache.getOrSet(key, 60, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
        await off.close();
      });

      it('caches the given share of keys, always the same ones', async () => {
        const half = await openWith({ rolloutPercent: 50 });
        const keys = Array.from({ length: 200 }, (_, index) => `${key}:${index}`);
        const load = () => Promise.all(keys.map((each) => half.cache.getOrSet(each, 60, () => each)));
        await load();
        half.cache.resetMetrics();
        await load();
        const { hits, loads } = half.cache.getMetrics();
        expect(hits + loads).toBe(200);
        expect(hits).toBeGreaterThan(60);
        expect(hits).toBeLessThan(140);
        await half.close();
      });

      it('loads nothing ahead when warming is switched off', async () => {
        const cold = await openWith({ warmup: false });
        expect(await cold.cache.warm([{ key, factory: () => 1 }])).toMatchObject({ loaded: 0, skipped: 1 });
        await cold.close();
      });
    });

    describe('collections, messages, locks and limits', () => {
      it('runs the examples of the documentation', async () => {
        const feed = await cache.getOrSet('feed:user:123:page:1', 300, async () => [{ id: 1 }]);
        expect(feed).toEqual([{ id: 1 }]);
        await cache.set('profile:user:123', { name: 'Ann' }, 3600);
        expect(await cache.get('profile:user:123')).toEqual({ name: 'Ann' });
        expect(await cache.sadd('likes:reel:456', '123')).toBe(1);
        expect(await cache.sismember('likes:reel:456', '123')).toBe(true);
        expect(await cache.hset('prefs:user:123', 'theme', 'dark')).toBe(1);
        expect(await cache.hget('prefs:user:123', 'theme')).toBe('dark');
        expect(await cache.incrby('views:reel:456', 5)).toBe(5);
        expect(await cache.incr('views:reel:456')).toBe(6);
        expect(await cache.get('views:reel:456')).toBe(6);
        const token = await cache.acquireLock('order:123', 10_000);
        expect(token).toEqual(expect.any(String));
        expect(await cache.acquireLock('order:123', 10_000)).toBeNull();
        expect(await cache.releaseLock('order:123', 'wrong')).toBe(false);
        expect(await cache.releaseLock('order:123', token ?? '')).toBe(true);
        const allowed: boolean[] = [];
        for (let i = 0; i < 4; i++) allowed.push(await cache.checkRateLimit('otp:phone:1', 3, 60));
        expect(allowed).toEqual([true, true, true, false]);
      });

      it('does not free locks or limits with reset', async () => {
        const token = await cache.acquireLock(`${key}:lock`, 10_000);
        await cache.reset();
        await cache.delPattern('*');
        expect(await cache.acquireLock(`${key}:lock`, 10_000)).toBeNull();
        expect(await cache.releaseLock(`${key}:lock`, token ?? '')).toBe(true);
      });

      it('carries messages to subscribers until they leave', async () => {
        const seen: unknown[] = [];
        const end = await cache.subscribe('invalidate:feed', (message) => void seen.push(message));
        await cache.publish('invalidate:feed', { userId: 1 });
        await eventually(() => expect(seen).toEqual([{ userId: 1 }]));
        await end();
        await cache.publish('invalidate:feed', { userId: 2 });
        await sleep(30);
        expect(seen).toHaveLength(1);
      });

      it('does not let a subscriber that throws disturb the others', async () => {
        const seen: unknown[] = [];
        const ends = await Promise.all([
          cache.subscribe(key, () => { throw new Error('mine'); }), // prettier-ignore
          cache.subscribe(key, (message) => void seen.push(message)),
        ]);
        await cache.publish(key, 'hello');
        await eventually(() => expect(seen).toEqual(['hello']));
        await Promise.all(ends.map((end) => end()));
      });

      it.each([
        [null, {}],
        ['text', {}],
        [() => undefined, []],
        [() => undefined, null],
        [() => undefined, { onResync: 'text' }],
        [() => undefined, { onResynch: () => undefined }],
      ])('refuses to subscribe %p with %p', async (callback, options) => {
        const subscription = cache.subscribe(key, callback as () => undefined, options as object);
        await expect(subscription).rejects.toMatchObject({ code: 'KEEP_INVALID_OPTIONS' });
      });

      it.each([[() => 1], [undefined], [10n]])('refuses to publish %p', async (message) => {
        await expect(cache.publish(key, message)).rejects.toMatchObject({ code: 'KEEP_INVALID_VALUE' });
      });

      it('refuses to read a collection as a value', async () => {
        await cache.hset(key, 'f', 'v');
        await expect(cache.get(key)).rejects.toMatchObject({ code: 'KEEP_WRONG_TYPE' });
        await expect(cache.sadd(key, 'm')).rejects.toMatchObject({ code: 'KEEP_WRONG_TYPE' });
        expect(await cache.has(key)).toBe(true);
        await cache.set(key, 'now a value');
        expect(await cache.get(key)).toBe('now a value');
      });
    });
  });
}
