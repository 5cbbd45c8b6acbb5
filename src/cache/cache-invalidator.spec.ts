import { engineOver, KEY } from '../../test/support/cache-engine.ts';
import { OutcomeUnknownError, StoreUnavailableError } from '../common/errors.ts';
import type { Shard } from '../redis/availability.types.ts';
import { CACHE_DEFAULTS } from './cache.options.ts';
import { ReadOptionsResolver } from './read-options.resolver.ts';
import { MEMORY_SHARD, MemoryCacheStore } from './memory-cache.store.ts';

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

/** A store that does not say whether it has deleted something, until it is asked to work again. */
class MuteStore extends MemoryCacheStore {
  isMute = true;

  override async del(keys: readonly string[]): Promise<number> {
    if (this.isMute) throw new OutcomeUnknownError('del', 'no answer');
    return super.del(keys);
  }

  override async bump(keys: readonly string[], mode: 'delete' | 'expire'): Promise<void> {
    if (this.isMute) throw new OutcomeUnknownError('bump', 'no answer');
    return super.bump(keys, mode);
  }
}

/** A store whose server is away. */
class LostStore extends MemoryCacheStore {
  asked = 0;
  private readonly lost: Shard = { ...MEMORY_SHARD, isAvailable: false };
  override readonly shards = [this.lost];

  override shardOf(): Shard {
    return this.lost;
  }

  override async del(): Promise<number> {
    this.asked++;
    throw new StoreUnavailableError('del', 'the server does not answer');
  }

  override async bump(): Promise<void> {
    this.asked++;
    throw new StoreUnavailableError('bump', 'the server does not answer');
  }
}

function setUp(): ReturnType<typeof setUpWith<HesitantStore>> {
  return setUpWith(HesitantStore);
}

function setUpWith<S extends MemoryCacheStore>(
  Store: new (...parts: ConstructorParameters<typeof MemoryCacheStore>) => S,
) {
  const { engine, store, read } = engineOver(Store);
  engine.local.tier.trustFor(Number.POSITIVE_INFINITY);
  const readWith = (stampNames: string[]) => (factory: () => Promise<string>) =>
    read(factory, new ReadOptionsResolver(CACHE_DEFAULTS).forRead(60), stampNames);
  return { engine, store, read: readWith(['epoch:']), tagged: readWith(['epoch:', 'tag:t']) };
}

const never = (): Promise<string> => new Promise(() => undefined);

describe('CacheInvalidator', () => {
  const ways = [
    ['del', ({ engine }: ReturnType<typeof setUp>) => engine.invalidator.del([KEY])],
    ['delPattern', ({ engine }: ReturnType<typeof setUp>) => engine.invalidator.delPattern('app:v1:*')],
    ['bump', ({ engine }: ReturnType<typeof setUp>) => engine.invalidator.bump(['epoch:'], 'delete')],
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

  it('does not trust the store for a key until it is sure that the key was deleted', async () => {
    const { engine, store, read } = setUpWith(MuteStore);
    await read(async () => 'old');
    await engine.invalidator.del([KEY]);
    expect(engine.journal.size).toBe(1);
    expect(await read(async () => 'new')).toBe('new');
    expect((await engine.stack.find(KEY, ['epoch:'])).kind).toBe('missing');
    expect(await read(async () => 'newer')).toBe('newer');
    store.isMute = false;
    await engine.recovery.recover({ shard: MEMORY_SHARD, everything: false });
    expect(engine.journal.size).toBe(0);
    expect(await read(async () => 'newest')).toBe('newest');
    expect(await read(async () => 'not called')).toBe('newest');
    engine.recovery.stop();
  });

  it('does not trust the store for a tag until it is sure that the tag was invalidated', async () => {
    const { engine, store, tagged } = setUpWith(MuteStore);
    await tagged(async () => 'old');
    engine.local.distrust();
    await engine.invalidator.bump(['tag:t'], 'delete');
    expect(engine.journal.size).toBe(1);
    expect((await engine.stack.find(KEY, ['epoch:', 'tag:t'])).kind).toBe('missing');
    expect(await tagged(async () => 'new')).toBe('new');
    store.isMute = false;
    await engine.recovery.recover({ shard: MEMORY_SHARD, everything: false });
    expect(await tagged(async () => 'newest')).toBe('newest');
    engine.recovery.stop();
  });

  it('does not even try a store that is away, nor number a notice about it', async () => {
    const { engine, store } = setUpWith(LostStore);
    const said = engine.notices.heartbeat();
    await engine.invalidator.del([KEY]);
    await engine.invalidator.bump(['tag:t'], 'delete');
    expect(store.asked).toBe(0);
    expect(engine.notices.heartbeat()).toBe(said);
    expect(engine.journal.size).toBe(2);
    engine.recovery.stop();
  });

  it('tries again by itself until the store has answered', async () => {
    jest.useFakeTimers();
    try {
      const { engine, store } = setUpWith(MuteStore);
      await engine.invalidator.del([KEY]);
      await jest.advanceTimersByTimeAsync(1_000);
      expect(engine.journal.size).toBe(1);
      store.isMute = false;
      await jest.advanceTimersByTimeAsync(300);
      expect(engine.journal.size).toBe(0);
    } finally {
      jest.useRealTimers();
    }
  });

  it('never holds in memory what was looked at before an invalidation', async () => {
    const { engine, read } = setUpWith(MemoryCacheStore);
    await read(async () => 'old');
    engine.local.tier.clear();
    const [looking, reading] = [engine.stack.find(KEY, ['epoch:']), read(async () => 'not called')];
    engine.local.forget([KEY]);
    await Promise.all([looking, reading]);
    expect(engine.local.tier.read('k', false)).toBeUndefined();
    await engine.stack.find(KEY, ['epoch:']);
    expect(engine.local.tier.read('k', false)).toBe('old');
  });
});
