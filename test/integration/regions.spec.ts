import { openCacheApp, type CacheApp } from '../support/cache-app.ts';
import { eventually } from '../support/eventually.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

/** As in docs/cache.md: each region has its own server; invalidations are published in both. */
describe('two regions with a server each', () => {
  let servers: TestServers[];
  let apps: CacheApp[];

  beforeAll(async () => {
    servers = await Promise.all([startStandalone(), startStandalone()]);
    apps = await Promise.all(
      servers.map(({ url }) => openCacheApp({ redis: { url, commandTimeout: '2s' }, cache: { ttl: '60s' } })),
    );
    const [east, west] = apps.map(({ cache }) => cache);
    // The bridge: what is invalidated in one region is invalidated in the other.
    await east!.subscribe('invalidated', (tags: string[]) => west!.delByTag(...tags));
    await west!.subscribe('invalidated', (tags: string[]) => east!.delByTag(...tags));
  });
  afterAll(async () => {
    await Promise.all(apps.map((app) => app.close()));
    await Promise.all(servers.map((server) => server.stop()));
  });

  it.each([0, 1])('region %d invalidates in both', async (here) => {
    let source = 'old';
    const tag = `product:${here}`;
    const read = ({ cache }: CacheApp) => cache.getOrSet(tag, { tags: [tag] }, () => source);
    const both = () => Promise.all(apps.map(read));
    await eventually(async () => expect(await both()).toEqual(['old', 'old']));
    source = 'new';
    const { cache } = apps[here]!;
    await cache.delByTag(tag);
    expect(await read(apps[here]!)).toBe('new');
    expect(await read(apps[1 - here]!)).toBe('old');
    await cache.publish('invalidated', [tag]);
    await eventually(async () => expect(await both()).toEqual(['new', 'new']));
  });
});
