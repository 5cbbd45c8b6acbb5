import { KEY_DEFAULTS, KeySpace } from '../common/keys.ts';
import { systemClock } from '../common/clock.ts';
import { MemoryKeyspace } from '../common/memory-keyspace.ts';
import { CacheEngine } from './cache-engine.ts';
import type { CacheEntry } from './cache-entry.ts';
import { CacheWaiters } from './cache-waiters.ts';
import { CACHE_DEFAULTS } from './cache.options.ts';
import { ReadOptionsResolver } from './get-or-set.options.ts';
import { MemoryCacheStore } from './memory-cache.store.ts';

const KEY = 'app:v1:k';

/** A store whose every change waits until it is let go. */
class HesitantStore extends MemoryCacheStore {
  readonly #goes: (() => void)[] = [];

  go(): void {
    for (const go of this.#goes.splice(0)) go();
  }

  override async del(keys: readonly string[]): Promise<number> {
    await this.#hesitate();
    return super.del(keys);
  }

  override async delPattern(pattern: string): Promise<number> {
    await this.#hesitate();
    return super.delPattern(pattern);
  }

  override async bump(keys: readonly string[], mode: 'delete' | 'expire'): Promise<void> {
    await this.#hesitate();
    return super.bump(keys, mode);
  }

  #hesitate(): Promise<void> {
    return new Promise((resolve) => this.#goes.push(resolve));
  }
}

function setUp() {
  const waiters = new CacheWaiters();
  const keyspace = new MemoryKeyspace<CacheEntry>({ maxEntries: 100, maxBytes: 1e6 });
  const store = new HesitantStore(keyspace, systemClock, (key) => waiters.wake(key));
  const engine = new CacheEngine({
    tier: { maxEntries: 0, maxBytes: 0, ttlMs: 0 },
    store,
    waiters,
    keys: new KeySpace(KEY_DEFAULTS),
    options: CACHE_DEFAULTS,
  });
  const read = (factory: () => Promise<string>) =>
    engine.stack.getOrSet({
      key: KEY,
      name: 'k',
      stampNames: ['epoch:'],
      options: new ReadOptionsResolver(CACHE_DEFAULTS).forRead(60),
      factory,
    });
  return { engine, store, read };
}

const never = (): Promise<string> => new Promise(() => undefined);

describe('CacheWriter', () => {
  const ways = [
    ['del', ({ engine }: ReturnType<typeof setUp>) => engine.writer.del([KEY])],
    ['delPattern', ({ engine }: ReturnType<typeof setUp>) => engine.writer.delPattern('app:v1:*')],
    ['bump', ({ engine }: ReturnType<typeof setUp>) => engine.writer.bump(['epoch:'], 'delete')],
  ] as const;

  it.each(ways)('lets nobody join what was under way before %s began', async (_, invalidate) => {
    const subject = setUp();
    void subject.read(never);
    void invalidate(subject);
    expect(subject.engine.local.reads.get(KEY)).toBeUndefined();
  });

  it.each(ways)('lets nobody join what began before %s was acknowledged', async (_, invalidate) => {
    const subject = setUp();
    const invalidated = invalidate(subject);
    void subject.read(never);
    subject.store.go();
    await invalidated;
    expect(subject.engine.local.reads.get(KEY)).toBeUndefined();
    expect(subject.engine.local.refreshes.get(KEY)).toBeUndefined();
  });
});
