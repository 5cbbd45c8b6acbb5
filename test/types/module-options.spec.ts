/**
 * The compiler is the judge (`npm run typecheck`): every `@ts-expect-error` is a line that must not compile, and
 * everything else must. What compiles is right at run time too, and what does not is refused there as well.
 */
import type { Redis } from 'ioredis';
import { resolveModuleOptions, type CacheModuleOptions } from '../../src/cache.module-options.ts';
import type { Duration } from '../../src/common/duration.ts';
import type { RulesOf } from '../../src/common/option-rules.ts';

const faultsOf = (options: CacheModuleOptions): readonly string[] => {
  try {
    resolveModuleOptions(options, {});
    return [];
  } catch (error) {
    return (error as { faults: readonly string[] }).faults;
  }
};

describe('the types of the module options', () => {
  it('accept every unit of a duration', () => {
    const durations: Duration[] = ['250ms', '30s', '5m', '2h', '1d', '1.5h'];
    for (const ttl of durations) expect(faultsOf({ cache: { ttl } })).toEqual([]);
  });

  it('refuse a duration with a typing error, and a bare number', () => {
    const wrong: CacheModuleOptions[] = [
      // @ts-expect-error no such unit
      { cache: { ttl: '5min' } },
      // @ts-expect-error a text without a unit
      { cache: { grace: '60' } },
      // @ts-expect-error a number has no unit
      { cache: { ttl: 300 } },
      // @ts-expect-error not a number
      { lock: { ttl: 'half1s' } },
      // @ts-expect-error a number has no unit
      { redis: { commandTimeout: 200 } },
    ];
    for (const options of wrong) expect(faultsOf(options)).toHaveLength(1);
  });

  it('refuse unknown options and values', () => {
    const wrong: CacheModuleOptions[] = [
      // @ts-expect-error a misspelt option
      { keys: { prefx: 'shop' } },
      // @ts-expect-error in the wrong place
      { ttl: '5m' },
      // @ts-expect-error a lock cannot be allowed without the server
      { lock: { onOutage: 'allow' } },
      // @ts-expect-error true is no server
      { redis: true },
      // @ts-expect-error a certificate is always verified
      { redis: { tls: { rejectUnauthorized: false } } },
    ];
    for (const options of wrong) expect(faultsOf(options)).toHaveLength(1);
  });

  it('accept a client of the application, the options of a server, and memory', () => {
    const accept = (client: Redis): CacheModuleOptions[] => [
      { redis: client },
      { redis: { url: 'redis://a' } },
      { redis: { cluster: { nodes: ['a:1', { host: 'b', port: 2 }] } } },
      { redis: { sentinels: ['a'], sentinelName: 'main' } },
      { redis: false },
      {},
    ];
    const client = { duplicate: () => undefined, sendCommand: () => undefined, status: 'ready' };
    for (const options of accept(client as unknown as Redis)) expect(faultsOf(options)).toEqual([]);
  });

  it('demand a rule for every option', () => {
    const flag = { allowed: 'true or false', read: () => true };
    // @ts-expect-error no rule for `b`
    const rules: RulesOf<{ a?: boolean; b?: boolean }> = { a: flag };
    expect(rules).not.toHaveProperty('b');
  });
});
