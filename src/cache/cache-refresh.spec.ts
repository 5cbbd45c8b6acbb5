import { systemClock } from '../common/clock.ts';
import { KEY_DEFAULTS, KeySpace } from '../common/keys.ts';
import { MemoryKeyspace } from '../common/memory-keyspace.ts';
import { CacheEngine } from './cache-engine.ts';
import type { CacheEntry } from './cache-entry.ts';
import type { Factory } from './cache-factory.ts';
import { CacheWaiters } from './cache-waiters.ts';
import { CACHE_DEFAULTS } from './cache.options.ts';
import { MemoryCacheStore } from './memory-cache.store.ts';
import { ReadOptionsResolver } from './read-options.resolver.ts';

const KEY = 'app:v1:k';
const FIRST_PAUSE_MS = 1_000;
const TTL_MS = 100;

describe('CacheRefresh', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  const answers: readonly [string, Factory<string>][] = [
    ['has a new value', () => 'new'],
    ['says that nothing has changed', (context) => context.notModified()],
  ];

  it.each(answers)('leaves a source alone for a second again, once it %s after a failure', async (_, answer) => {
    const waiters = new CacheWaiters();
    const keyspace = new MemoryKeyspace<CacheEntry>({ maxEntries: 100, maxBytes: 1e6 });
    const engine = new CacheEngine({
      tier: { maxEntries: 10, maxBytes: 1e6, ttlMs: 60_000 },
      store: new MemoryCacheStore(keyspace, systemClock, (key) => waiters.wake(key)),
      waiters,
      keys: new KeySpace(KEY_DEFAULTS),
      options: CACHE_DEFAULTS,
    });
    const options = new ReadOptionsResolver(CACHE_DEFAULTS).forRead({ ttl: `${TTL_MS}ms`, grace: '1h', jitter: 0 });
    const counts = engine.metrics.caches.of('default');
    const read = (factory: Factory<string>) =>
      engine.stack.getOrSet({ key: KEY, name: 'k', stampNames: ['epoch:'], options, factory, counts });
    const fails: Factory<string> = () => Promise.reject(new Error('the source is away'));

    await read(() => 'old');
    jest.advanceTimersByTime(TTL_MS);
    expect(await read(fails)).toBe('old');
    jest.advanceTimersByTime(FIRST_PAUSE_MS);
    await read(answer);
    jest.advanceTimersByTime(TTL_MS);
    await read(fails);
    expect(engine.backoff.isPaused(KEY)).toBe(true);
    jest.advanceTimersByTime(FIRST_PAUSE_MS);
    expect(engine.backoff.isPaused(KEY)).toBe(false);
  });
});
