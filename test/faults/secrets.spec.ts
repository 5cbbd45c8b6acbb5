import { inspect } from 'node:util';
import type { LoggerService } from '@nestjs/common';
import { ModulesContainer, NestContainer } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import * as keep from '../../src/index.ts';
import { CacheModule, CacheService, type CacheModuleOptions } from '../../src/index.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const PASSWORD = 'hunter2-password';
const VALUE = 'hunter2-value';
/** Part of both. */
const SECRET = 'hunter2';

/** What leads to every provider of the application. Each of them is looked at anyway: once is enough. */
for (const container of [ModulesContainer, NestContainer]) {
  Object.defineProperty(container.prototype, inspect.custom, { value: () => container.name });
}

/** Everything that anybody could inject or hold, by name: what the module provides, exports and is made of. */
function* holdersOf(module: TestingModule): Iterable<[name: string, holder: unknown]> {
  for (const { metatype, providers } of module.get(ModulesContainer, { strict: false }).values()) {
    for (const [token, { instance }] of providers) {
      yield [`${metatype.name} › ${typeof token === 'function' ? token.name : String(token)}`, instance];
    }
  }
}

const leaksOf = (module: TestingModule): string[] =>
  [...holdersOf(module)]
    .filter(([, holder]) => inspect(holder, { depth: 10, maxArrayLength: null }).includes(SECRET))
    .map(([name]) => name);

const showsSecret = (thing: unknown): boolean =>
  inspect(thing, { depth: 10, showHidden: true, getters: true, maxArrayLength: null, maxStringLength: null }).includes(
    SECRET,
  );

/** What everything that is exported is, and what the application has of it. */
function* exportsOf(module: TestingModule): Iterable<[name: string, thing: unknown]> {
  for (const [name, exported] of Object.entries<unknown>(keep)) {
    yield [name, exported];
    if (typeof exported !== 'function') continue;
    try {
      yield [`instance of ${name}`, module.get(exported, { strict: false })];
    } catch {
      // Nothing that is injected.
    }
  }
}

async function open(
  options: CacheModuleOptions,
  way: 'forRoot' | 'forRootAsync',
  logger: LoggerService | false = false,
): Promise<TestingModule> {
  const cache =
    way === 'forRoot' ? CacheModule.forRoot(options) : CacheModule.forRootAsync({ useFactory: () => options });
  const building = Test.createTestingModule({ imports: [cache] });
  const module = await (logger === false ? building : building.setLogger(logger)).compile();
  await module.init();
  return module;
}

describe('nothing that can be injected shows a password or a value', () => {
  let server: TestServers;
  let proxy: FaultProxy;

  beforeAll(async () => {
    server = await startStandalone(['--requirepass', PASSWORD]);
    proxy = await FaultProxy.start(server.port);
  });
  afterAll(async () => {
    await proxy.close();
    await server.stop();
  });

  const use = async (module: TestingModule): Promise<CacheService> => {
    const cache = module.get(CacheService);
    await cache.set('text', VALUE);
    await cache.set('object', { secret: VALUE });
    await cache.getOrSet('loaded', 60, () => ({ secret: VALUE }));
    await cache.getMany(['text', 'object', 'loaded']);
    return cache;
  };

  const WAYS: readonly (readonly [string, () => CacheModuleOptions])[] = [
    ['in memory mode', () => ({ redis: false })],
    ['with a URL', () => ({ redis: { url: `redis://:${PASSWORD}@127.0.0.1:${proxy.port}` } })],
    [
      'with client tracking',
      () => ({
        redis: { url: `redis://:${PASSWORD}@127.0.0.1:${proxy.port}` },
        cache: { coherence: 'tracking' as const },
      }),
    ],
    ['with a password', () => ({ redis: { host: '127.0.0.1', port: proxy.port, password: PASSWORD } })],
  ];

  const CASES = [
    ...WAYS.map(([name, options]) => ['forRoot', name, options] as const),
    ['forRootAsync', ...WAYS[1]!] as const,
  ];

  it.each(CASES)('%s, %s', async (way, _, options) => {
    const module = await open(options(), way);
    const cache = await use(module);
    const [value, leaks] = [await cache.get('text'), leaksOf(module)];
    await module.close();
    expect(value).toBe(VALUE);
    expect(leaks).toEqual([]);
  });

  it.each(WAYS)('nor does what is exported, returned, thrown or logged, %s', async (_, options) => {
    const lines: unknown[] = [];
    const write = (...said: unknown[]): void => void lines.push(...said);
    const logger = { log: write, warn: write, error: write, debug: write, verbose: write, fatal: write };
    const given = { ...options(), logLevel: 'debug' as const };
    const module = await open(given, 'forRoot', logger);
    const cache = await use(module);
    const [locks, circuits] = [module.get(keep.LockService), module.get(keep.CircuitBreakerService)];
    await cache.hset('hash', 'field', VALUE);
    const lock = await locks.acquire('resource');
    const circuit = circuits
      .create(() => Promise.reject<string>(new Error('no')), { name: 'source' })
      .fallback(() => VALUE);
    await circuit.fire();
    const failures = await Promise.all(
      [
        cache.incr('text'),
        cache.get('hash'),
        cache.set('cycle', { secret: VALUE, no: () => VALUE }),
        cache.publish('channel', { secret: VALUE, no: 1n }),
        cache.getOrSet('slow', { hardTimeout: '10ms' }, () => new Promise(() => undefined)),
        locks.acquire('resource', { wait: '1ms' }),
      ].map((call) =>
        call.then(
          () => 'no failure',
          (error: unknown) => error,
        ),
      ),
    );
    const things: [string, unknown][] = [
      ...exportsOf(module),
      ...failures.map((failure, index): [string, unknown] => [`failure ${index}`, failure]),
      ...Object.entries({ lock, circuit, lines, dynamic: CacheModule.forRoot(given), space: cache.namespace('n') }),
      ...Object.entries({ metrics: cache.getMetrics(), stats: await cache.getStats(), circuits: circuits.getStats() }),
      ...Object.entries({ end: await cache.subscribe('channel', () => undefined), pages: await locks.list() }),
    ];
    const leaks = things.filter(([, thing]) => showsSecret(thing)).map(([name]) => name);
    await module.close();
    expect(failures.map((failure) => failure instanceof Error)).toEqual(failures.map(() => true));
    expect(things.filter(([name]) => name.startsWith('instance of')).length).toBeGreaterThanOrEqual(7);
    expect(lines.length).toBeGreaterThan(0);
    expect(leaks).toEqual([]);
  });

  it('nor do they while the server is away', async () => {
    const module = await open({ redis: { url: `redis://:${PASSWORD}@127.0.0.1:${proxy.port}` } }, 'forRoot');
    const cache = await use(module);
    proxy.mode = 'reject';
    proxy.cut();
    await use(module);
    const failures = await Promise.all(
      [cache.incr('n'), cache.ttl('text'), cache.acquireLock('l', 1_000)].map((call) =>
        call.then(
          () => undefined,
          (error: unknown) => error,
        ),
      ),
    );
    proxy.mode = 'pass';
    for (const failure of failures) {
      expect(failure).toBeInstanceOf(Error);
      expect(inspect(failure, { depth: 10, showHidden: true })).not.toContain(SECRET);
    }
    const leaks = leaksOf(module);
    await module.close();
    expect(leaks).toEqual([]);
  });
});
