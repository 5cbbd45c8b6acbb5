import type { GetOrSetOptions } from '../../src/index.ts';
import { openCacheApp } from '../support/cache-app.ts';

/** The second entry of a key lost the tags that its factory or its value named: they were known from the first one. */
describe('tags that only the value tells', () => {
  it.each<[string, GetOrSetOptions, readonly string[]]>([
    ['the factory', {}, ['a', 'b']],
    ['the options', { tags: () => ['a', 'b'] }, []],
  ])('are on every entry of the key: named by %s', async (_, options, named) => {
    const app = await openCacheApp();
    let runs = 0;
    const load = () =>
      app.cache.getOrSet('key', { ttl: '1m', ...options }, (context) => {
        context.setTags(named);
        return ++runs;
      });
    await load();
    for (const tag of ['a', 'b']) {
      await app.cache.delByTag(tag);
      // The first load may be so close to the invalidation that its value is not trusted.
      await load();
      await load();
      const before = runs;
      await load();
      expect(runs).toBe(before);
      await app.cache.delByTag(tag);
      await load();
      expect(runs).toBe(before + 1);
    }
    await app.close();
  });
});
