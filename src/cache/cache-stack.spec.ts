import { engineOver, KEY } from '../../test/support/cache-engine.ts';
import { OutcomeUnknownError } from '../common/errors.ts';
import type { Found } from './cache-entry.ts';
import { CACHE_DEFAULTS } from './cache.options.ts';
import { MemoryCacheStore } from './memory-cache.store.ts';
import { ReadOptionsResolver } from './read-options.resolver.ts';

/** A server that is asked, and whose answer does not come in time. */
class SilentStore extends MemoryCacheStore {
  reads = 0;
  giveUp = (): void => undefined;

  override read(): Promise<Found> {
    this.reads++;
    return new Promise((_, reject) => {
      this.giveUp = () => reject(new OutcomeUnknownError('get', 'no answer'));
    });
  }
}

describe('CacheStack', () => {
  it('waits once for a server that does not answer, also when the key is invalidated meanwhile', async () => {
    const { engine, store, read } = engineOver(SilentStore);
    engine.local.tier.trustFor(Number.POSITIVE_INFINITY);
    const options = new ReadOptionsResolver(CACHE_DEFAULTS).forRead(60);
    await engine.tags.capture(['epoch:'], new Map(), 60_000);
    const value = read(() => 'made here', options);
    engine.local.forget([KEY]);
    store.giveUp();
    await new Promise((resolve) => setImmediate(resolve));
    const waits = store.reads;
    store.giveUp();
    expect([waits, await value]).toEqual([1, 'made here']);
  });
});
