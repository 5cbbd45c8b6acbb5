import { engineOver, KEY } from '../../test/support/cache-engine.ts';
import type { Factory } from './cache-factory.ts';
import { CACHE_DEFAULTS } from './cache.options.ts';
import { MemoryCacheStore } from './memory-cache.store.ts';
import { ReadOptionsResolver } from './read-options.resolver.ts';

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
    const { engine, read: readBy } = engineOver(MemoryCacheStore);
    const options = new ReadOptionsResolver(CACHE_DEFAULTS).forRead({ ttl: `${TTL_MS}ms`, grace: '1h', jitter: 0 });
    const read = (factory: Factory<string>) => readBy(factory, options);
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
