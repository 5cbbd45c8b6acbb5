import { engineOver, KEY } from '../../test/support/cache-engine.ts';
import type { KeyWatch, KeyWatchEvents } from '../message-bus/key-watch.interface.ts';
import { StoreUnavailableError } from '../common/errors.ts';
import { MemoryMessageBus } from '../message-bus/memory-message-bus.ts';
import type { Shard } from '../redis/availability.types.ts';
import type { Found } from './cache-entry.ts';
import type { NoticeContent } from './cache-notices.ts';
import { CacheSync } from './cache-sync.ts';
import { CacheWatch } from './cache-watch.ts';
import { CACHE_DEFAULTS } from './cache.options.ts';
import { MEMORY_SHARD, MemoryCacheStore } from './memory-cache.store.ts';
import { ReadOptionsResolver } from './read-options.resolver.ts';

const NOTICE = 'notice';

/** A store whose server comes and goes. */
class RemoteStore extends MemoryCacheStore {
  readonly shard = { ...MEMORY_SHARD, isAvailable: true };
  override readonly shards = [this.shard];

  override shardOf(): Shard {
    return this.shard;
  }
}

/** A server that finds values later than versions, as where they lie on different ones. */
class TwoServers extends RemoteStore {
  arrives: Promise<unknown> = Promise.resolve();

  override async read(key: string): Promise<Found> {
    if (!this.shard.isAvailable) throw new StoreUnavailableError('get', 'the server is away');
    const found = super.read(key);
    await this.arrives;
    return found;
  }
}

/** A connection that delivers late, or not at all. */
class BadBus extends MemoryMessageBus {
  latencyMs = 0;
  isDeaf = false;

  override deliver(channel: string, payload: string | Buffer): void {
    if (!this.isDeaf) setTimeout(() => super.deliver(channel, payload), this.latencyMs);
  }
}

/** A server that tells of changed keys, or seems to. */
class Watch implements KeyWatch {
  isDeaf = false;
  heardMs = -Infinity;
  #events: KeyWatchEvents | undefined;

  start(events: KeyWatchEvents): void {
    this.#events = events;
    this.beat();
  }

  beat(): void {
    if (!this.isDeaf) this.heardMs = performance.now();
  }

  tell(event: (events: KeyWatchEvents) => void): void {
    if (this.#events !== undefined) event(this.#events);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

describe('CacheSync', () => {
  let sync: CacheSync;

  async function setUp<B extends MemoryMessageBus>(bus: B, settled: () => Promise<unknown>, keyWatch?: KeyWatch) {
    const { engine, store, waiters, keys, read } = engineOver(TwoServers);
    const { local, notices } = engine;
    const logger = { warn: () => undefined };
    const watch = keyWatch && new CacheWatch({ watch: keyWatch, keys, local, logger });
    sync = new CacheSync({ bus, channels: { notice: NOTICE, wake: 'wake' }, local, waiters, notices, watch });
    await sync.start();
    await settled();
    const options = new ReadOptionsResolver(CACHE_DEFAULTS).forRead(60);
    const load = (value: string, stampNames?: string[]) => read(() => value, options, stampNames);
    const hear = async (seq: number, content: NoticeContent): Promise<void> => {
      await bus.publish(NOTICE, JSON.stringify({ from: 'another process', run: 0, seq, ...content }));
      await settled();
    };
    return { bus, store, local, load, hear, held: () => local.tier.read('k', false) };
  }
  const nextTurn = () => new Promise((resolve) => setImmediate(resolve));
  afterEach(async () => {
    await sync.stop();
    jest.useRealTimers();
  });

  it('serves nothing from before when a notice of another process is missing', async () => {
    const { load, hear, held } = await setUp(new MemoryMessageBus(), nextTurn);
    await load('value');
    await hear(1, { keys: ['app:v1:other'] });
    await hear(0, { told: 1 });
    expect(held()).toBe('value');
    await hear(0, { told: 2 });
    expect(held()).toBeUndefined();
    await load('value');
    await hear(0, { told: 2 });
    expect(held()).toBe('value');
  });

  it('serves nothing it held of a shard that is lost, although another one is there', async () => {
    const { store, local, load, held } = await setUp(new MemoryMessageBus(), nextTurn);
    store.shards.push({ ...store.shard });
    await load('value');
    expect(held()).toBe('value');
    store.shard.isAvailable = false;
    local.goAlone(store.shard);
    expect(held()).toBeUndefined();
  });

  it('lets nobody wait for an answer of a shard that is lost meanwhile', async () => {
    const { store, local, load } = await setUp(new MemoryMessageBus(), nextTurn);
    let arrive = (): void => undefined;
    store.arrives = new Promise<void>((resolve) => (arrive = resolve));
    const early = load('asked');
    await nextTurn();
    store.shard.isAvailable = false;
    local.goAlone(store.shard);
    const late = load('made here');
    await nextTurn();
    arrive();
    expect(await Promise.all([early, late])).toEqual(['asked', 'made here']);
  });

  it('leaves alone what was made without the server when its own words arrive late', async () => {
    const { store, local, held } = await setUp(new MemoryMessageBus(), nextTurn);
    store.shard.isAvailable = false;
    local.goAlone(store.shard);
    const entry = { codec: 's', payload: 'made here', stamps: [], version: '', costMs: 0 };
    const until = Date.now() + 60_000;
    local.holdAlone(KEY, { ...entry, freshUntilMs: until, keptUntilMs: until }, 'made here', 60_000);
    expect(held()).toBe('made here');
    local.trust();
    expect(held()).toBe('made here');
    expect(local.isTrusted).toBe(false);
  });

  const setUpBad = () => {
    jest.useFakeTimers();
    return setUp(new BadBus(), () => jest.advanceTimersByTimeAsync(10));
  };

  it('does not trust a connection on which its own words come back late', async () => {
    const { bus, load, held } = await setUpBad();
    await load('value');
    expect(held()).toBe('value');
    bus.latencyMs = 1_000;
    await jest.advanceTimersByTimeAsync(5_000);
    await load('value');
    expect(held()).toBe('value');
    bus.latencyMs = 1_600;
    await jest.advanceTimersByTimeAsync(5_000);
    await load('value');
    expect(held()).toBeUndefined();
  });

  it('serves none of what it held before a silence', async () => {
    const { bus, load, held } = await setUpBad();
    await load('value');
    bus.isDeaf = true;
    await jest.advanceTimersByTimeAsync(2_500);
    bus.isDeaf = false;
    await jest.advanceTimersByTimeAsync(600);
    expect(held()).toBeUndefined();
    await load('value');
    expect(held()).toBe('value');
  });

  it('serves none of what it held before it listened', async () => {
    const { load, held } = await setUp(new MemoryMessageBus(), nextTurn);
    await load('value');
    await sync.stop();
    await sync.start();
    await nextTurn();
    expect(held()).toBeUndefined();
  });

  describe('where the server tells of changed keys', () => {
    const setUpWatched = async () => {
      jest.useFakeTimers();
      const watch = new Watch();
      const settled = () => jest.advanceTimersByTimeAsync(10);
      return { watch, ...(await setUp(new MemoryMessageBus(), settled, watch)) };
    };

    it('holds what was stored when it is read next: the word about it may be about a later change', async () => {
      const { load, held } = await setUpWatched();
      await load('value');
      expect(held()).toBeUndefined();
      await load('not called');
      expect(held()).toBe('value');
    });

    it('serves nothing that may have been changed in a gap', async () => {
      const { watch, load, held } = await setUpWatched();
      await load('value');
      await load('not called');
      watch.tell(({ onGap }) => onGap());
      expect(held()).toBeUndefined();
    });

    it('lets nobody join a read that began before somebody changed a tag', async () => {
      const { watch, store, load } = await setUpWatched();
      const tagged = (value: string) => load(value, ['epoch:', 'tag:t']);
      const change = async () => {
        await store.bump(['app:v1@tag:t'], 'delete');
        watch.tell(({ onKeys }) => onKeys(['app:v1@tag:t']));
      };
      await tagged('old');
      watch.tell(({ onKeys }) => onKeys(['app:v1@tag:t']));
      let arrive = (): void => undefined;
      store.arrives = new Promise<void>((resolve) => (arrive = resolve));
      const early = tagged('not called');
      await jest.advanceTimersByTimeAsync(10);
      await change();
      const late = tagged('new');
      arrive();
      expect(await Promise.all([early, late])).toEqual(['old', 'new']);
    });

    it('serves nothing while the server does not tell of anything, though other processes do', async () => {
      const { watch, load, held } = await setUpWatched();
      watch.isDeaf = true;
      await jest.advanceTimersByTimeAsync(2_500);
      await load('value');
      await load('not called');
      expect(held()).toBeUndefined();
      watch.isDeaf = false;
      await jest.advanceTimersByTimeAsync(1_100);
      await load('not called');
      expect(held()).toBe('value');
    });
  });

  it('serves nothing after it has stood still, before it has heard anything again', async () => {
    const { load, held } = await setUpBad();
    await load('value');
    jest.setSystemTime(Date.now() + 1_600);
    await jest.advanceTimersByTimeAsync(1);
    expect(held()).toBeUndefined();
  });
});
