/**
 * The compiler is the judge (`npm run typecheck`): every `@ts-expect-error` is a line that must not compile, and
 * everything else must. What compiles is what comes at run time, too.
 */
import { ConfigService } from '@nestjs/config';
import {
  CacheModule,
  type CacheModuleOptions,
  type CacheModuleOptionsFactory,
  type CacheService,
  defineKey,
  type Duration,
  type FactoryContext,
  InvalidOptionsError,
  InvalidTtlError,
  isLockConflictError,
  isRateLimitExceededError,
  type Lock,
  LockConflictError,
  LockService,
  type RateLimitPolicy,
  RateLimitService,
} from '../../src/index.ts';
import { type CacheApp, openCacheApp } from '../support/cache-app.ts';

type IsAny<T> = 0 extends 1 & T ? true : false;
type IsSame<A, B> = [A, B, IsAny<A>] extends [B, A, IsAny<B>] ? true : false;

/** Compiles only where the type of the value is exactly `Expected`: neither wider nor narrower, nor `any`. */
const typed =
  <Expected>() =>
  <Actual>(value: Actual, ...difference: IsSame<Actual, Expected> extends true ? [] : [expected: Expected]): Actual => {
    expect(difference).toEqual([]);
    return value;
  };

interface User {
  readonly id: number;
  readonly name: string;
}
const ada: User = { id: 1, name: 'Ada' };

let app: CacheApp;
let cache: CacheService;
beforeAll(async () => {
  app = await openCacheApp();
  cache = app.cache;
});
afterAll(() => app.close());
beforeEach(() => cache.reset());

describe('the types of cached values', () => {
  it('are told apart by this file', () => {
    // @ts-expect-error -- it is narrower than that
    expect(typed<string | number>()('text')).toBe('text');
    // @ts-expect-error -- any would fit everything
    expect(typed<number>()(JSON.parse('1'))).toBe(1);
  });

  it('are those of what the factory makes', async () => {
    expect(typed<number>()(await cache.getOrSet('number', 60, () => 42))).toBe(42);
    expect(typed<User>()(await cache.getOrSet('user', '5m', async () => ada))).toEqual(ada);
    expect(typed<User | null>()(await cache.getOrSet('null', {}, () => (ada.id > 1 ? ada : null)))).toBeNull();
    expect(typed<User>()(await cache.getOrSet<User>('named', '1m', ({ staleValue }) => staleValue ?? ada))).toEqual(
      ada,
    );
  });

  it('reach the options and the context of the factory', async () => {
    const tags = (user: User): string[] => [user.name];
    const factory = (context: FactoryContext<User>): User => {
      typed<User | undefined>()(context.staleValue);
      typed<AbortSignal>()(context.signal);
      return context.staleValue ?? ada;
    };
    await expect(cache.getOrSet('user', { tags }, factory)).resolves.toEqual(ada);
    await expect(cache.getOrSet('inferred', { tags: (user) => [user.name] }, () => ada)).resolves.toEqual(ada);
    // @ts-expect-error -- a tag is a text
    await expect(cache.getOrSet('wrong', { tags: (user) => [user.id] }, () => ada)).rejects.toThrow(
      InvalidOptionsError,
    );
  });

  it('are said by who reads, and unknown else', async () => {
    await cache.set('user', ada);
    expect(typed<User | undefined>()(await cache.get<User>('user'))).toEqual(ada);
    expect(typed<unknown>()(await cache.get('user'))).toEqual(ada);
    expect(typed<(User | undefined)[]>()(await cache.getMany<User>(['user']))).toEqual([ada]);
    const loaded = await cache.getOrSetMany(['a'], '1m', async (missing) => new Map(missing.map((key) => [key, 1])));
    expect(typed<Map<string, number>>()(loaded)).toEqual(new Map([['a', 1]]));
  });

  it('are anything in a message, which the listener names', async () => {
    const received: string[] = [];
    const stop = await cache.subscribe('users', (user: User) => void received.push(user.name));
    await cache.publish('users', ada);
    await typed<Promise<void>>()(stop());
    expect(received).toEqual(['Ada']);
  });
});

describe('durations and options', () => {
  it('do not compile with a typing error, and are refused', async () => {
    // @ts-expect-error -- no such unit
    await expect(cache.set('key', 1, '5min')).rejects.toThrow(InvalidTtlError);
    // @ts-expect-error -- a text without a unit
    await expect(cache.getOrSet('key', '60', () => 1)).rejects.toThrow(InvalidTtlError);
    // @ts-expect-error -- not a number
    await expect(cache.expire('key', 'tens')).rejects.toThrow(InvalidTtlError);
    // @ts-expect-error -- a number has no unit
    const duration: Duration = 60;
    expect(duration).toBe(60);
  });

  it('do not compile with an unknown key, and are refused', async () => {
    // @ts-expect-error -- ttl is misspelt
    await expect(cache.getOrSet('key', { tll: '1m' }, () => 1)).rejects.toThrow(InvalidOptionsError);
    // @ts-expect-error -- an option of reads
    await expect(cache.set('key', 1, { hardTimeout: '1s' })).rejects.toThrow(InvalidOptionsError);
    // @ts-expect-error -- no such way to coalesce
    await expect(cache.getOrSet('key', { coalesce: 'always' }, () => 1)).rejects.toThrow(InvalidOptionsError);
    const locks = app.module.get(LockService);
    // @ts-expect-error -- wait is misspelt
    await expect(locks.acquire('lock', { waits: '1s' })).rejects.toThrow(InvalidOptionsError);
    const limits = app.module.get(RateLimitService);
    // @ts-expect-error -- limit is misspelt
    const policy: RateLimitPolicy = { name: 'otp', limits: 5, window: '1m' };
    await expect(limits.consume(policy, 'ada')).rejects.toThrow(InvalidOptionsError);
  });

  it('of the module come from values, factories and classes', () => {
    class Options implements CacheModuleOptionsFactory {
      createCacheOptions(): CacheModuleOptions {
        return { redis: false };
      }
    }
    const useFactory = (config: ConfigService): CacheModuleOptions => ({ redis: config.getOrThrow<false>('redis') });
    expect(CacheModule.forRootAsync({ inject: [ConfigService], useFactory })).toHaveProperty('providers');
    expect(CacheModule.forRootAsync({ useClass: Options })).toHaveProperty('providers');
    // @ts-expect-error -- it makes no options
    expect(CacheModule.forRootAsync({ useClass: Date })).toHaveProperty('providers');
    // @ts-expect-error -- no such option
    expect(CacheModule.forRootAsync({ useFactory: () => ({ ttl: '5m' }) })).toHaveProperty('providers');
  });
});

describe('keys, locks and errors', () => {
  it('give a key the parameters of its template', () => {
    const page = defineKey('user:{userId}:page:{page}');
    expect(typed<string>()(page({ userId: 7, page: 'a' }))).toBe('user:7:page:a');
    expect(typed<Record<'userId' | 'page', string> | undefined>()(page.parse('user:7:page:a'))?.userId).toBe('7');
    // @ts-expect-error -- a parameter is missing
    expect(() => page({ userId: 7 })).toThrow('{page}');
    expect(defineKey('all')()).toBe('all');
  });

  it('hand what was done under a lock to the caller', async () => {
    const locks = app.module.get(LockService);
    const done = await locks.withLock('lock', (lock: Lock) => Promise.resolve({ fence: lock.fence }), '1s');
    expect(typed<{ fence: number }>()(done)).toEqual({ fence: expect.any(Number) as number });
    expect(typed<Lock | null>()(await locks.tryAcquire('lock'))?.degraded).toBe(false);
  });

  it('narrow what was caught to one error', () => {
    const retryAfterOf = (caught: unknown): number | undefined => {
      if (isLockConflictError(caught)) return typed<LockConflictError>()(caught).retryAfterMs;
      return isRateLimitExceededError(caught) ? typed<number>()(caught.retryAfterMs) : undefined;
    };
    expect(retryAfterOf(new LockConflictError('lock', 100))).toBe(100);
    expect(retryAfterOf(new Error('another'))).toBeUndefined();
  });
});
