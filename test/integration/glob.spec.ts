import fc from 'fast-check';
import { Redis } from 'ioredis';
import { globMatcher } from '../../src/common/glob.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

/** Characters that mean something in a glob, and a few of one and of two bytes that do not. */
const characters = fc.constantFrom('a', 'b', 'c', 'é', '*', '?', '[', ']', '\\', '^', '-');
const globs = fc.string({ unit: characters, minLength: 1, maxLength: 8 }).filter((glob) => !hasMixedRange(glob));
const texts = fc.uniqueArray(
  fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é', '[', ']', '\\', '^', '-', '*'), minLength: 1, maxLength: 5 }),
  {
    minLength: 1,
    maxLength: 30,
  },
);

/** A range between an ASCII and another byte depends on the architecture the server was compiled for. */
const hasMixedRange = (glob: string): boolean => /é-|-é/.test(glob);

describe('globMatcher beside a server', () => {
  let servers: TestServers;
  let redis: Redis;

  beforeAll(async () => {
    servers = await startStandalone();
    redis = new Redis({ host: '127.0.0.1', port: servers.port, protocol: 2 });
  });

  afterAll(async () => {
    redis.disconnect();
    await servers.stop();
  });

  it('finds the keys that SCAN MATCH finds', async () => {
    await fc.assert(
      fc.asyncProperty(texts, fc.array(globs, { minLength: 1, maxLength: 20 }), async (keys, patterns) => {
        await redis.flushdb();
        await redis.mset(keys.flatMap((key) => [key, '']));
        for (const glob of patterns) {
          const [, found] = await redis.scan(0, 'MATCH', glob, 'COUNT', 1_000);
          expect([glob, keys.filter(globMatcher(glob)).sort()]).toEqual([glob, found.sort()]);
        }
      }),
      { numRuns: 300 },
    );
  });
});
