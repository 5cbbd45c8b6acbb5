import { Test, type TestingModule } from '@nestjs/testing';
import { context, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api';
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks';
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base';
import {
  Cacheable,
  CacheModule,
  type CacheModuleOptions,
  CacheService,
  CircuitBreakerService,
  LockService,
} from '../../src/index.ts';
import { TracedCacheService } from '../../src/cache/traced-cache.service.ts';
import { eventually } from '../support/eventually.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const exporter = new InMemorySpanExporter();
const tracer = trace.getTracer('the application');

function register(): void {
  trace.setGlobalTracerProvider(new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] }));
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
}

class Catalog {
  @Cacheable({ ttl: '1m' })
  async find(id: number): Promise<number> {
    return id;
  }
}

const open: TestingModule[] = [];
async function start(options: CacheModuleOptions = {}): Promise<TestingModule> {
  const module = await Test.createTestingModule({
    imports: [CacheModule.forRoot(options)],
    providers: [Catalog],
  }).compile();
  open.push(module);
  return module.init();
}

let server: TestServers;
beforeAll(async () => {
  server = await startStandalone();
});
beforeEach(register);
afterEach(async () => {
  await Promise.all(open.splice(0).map((module) => module.close()));
  await server.ask('FLUSHALL');
  trace.disable();
  context.disable();
  exporter.reset();
});
afterAll(() => server.stop());

/** The spans that have ended, oldest first. */
const spans = (): ReadableSpan[] => exporter.getFinishedSpans();
const named = (name: string): ReadableSpan[] => spans().filter((span) => span.name === name);
const answers = (name: string): object[] => named(name).map(({ attributes }) => attributes);
const parentOf = ({ parentSpanContext }: ReadableSpan): string | undefined =>
  spans().find((span) => span.spanContext().spanId === parentSpanContext?.spanId)?.name;
const inSpan = <R>(run: () => Promise<R>): Promise<R> =>
  tracer.startActiveSpan('request', async (span) => run().finally(() => span.end()));

const MODES = [
  ['memory', 'l1', () => ({})],
  ['server', 'l2', () => ({ redis: { url: server.url, commandTimeout: '5s' } })],
] as const satisfies readonly (readonly [string, string, () => CacheModuleOptions])[];

describe.each(MODES)('OpenTelemetry spans in %s mode', (_, storeTier, optionsOf) => {
  it('tell of each read whether it hit, where, and whether the value was stale', async () => {
    const cache = (await start(optionsOf())).get(CacheService).namespace('shop');
    const options = { ttl: '1h', grace: '1h', staleWhileRevalidate: true, jitter: 0, tags: ['t'] } as const;
    await inSpan(() => cache.getOrSet('a', options, () => 1));
    await cache.getOrSet('a', options, () => 2);
    await cache.get('a');
    await cache.expireByTag('t');
    await cache.getOrSet('a', options, () => 3);
    const [missed, hit, got, stale] = answers('cache.get shop');
    expect(missed).toEqual({ 'cache.name': 'shop', 'cache.hit': false });
    expect(hit).toEqual({ 'cache.name': 'shop', 'cache.hit': true, 'cache.tier': storeTier, 'cache.stale': false });
    expect(got).toEqual({ ...hit, 'cache.tier': 'l1' });
    expect(stale).toMatchObject({ 'cache.hit': true, 'cache.tier': storeTier, 'cache.stale': true });
    expect(named('cache.get shop').map(({ kind }) => kind)).toEqual(Array(4).fill(SpanKind.INTERNAL));
    expect(named('cache.get shop').map(parentOf)).toEqual(['request', undefined, undefined, undefined]);
  });

  it('have the factory inside: what it does belongs to it, and what it reads is a read of its own', async () => {
    const module = await start(optionsOf());
    const cache = module.get(CacheService);
    const held = cache.namespace('held');
    await held.getOrSet('a', 60, () => 1);
    await eventually(async () => {
      await held.get('a');
      expect(answers('cache.get held').at(-1)).toMatchObject({ 'cache.tier': 'l1' });
    });
    const load = async () => {
      await cache.get('other');
      await held.has('a');
      await tracer.startActiveSpan('query', async (span) => span.end());
      return module.get(Catalog).find(7);
    };
    await Promise.all([cache.getOrSet('a', 60, load), cache.getOrSet('a', 60, load)]);
    expect(named('cache.load default').map(parentOf)).toEqual(['cache.get default']);
    expect(named('query').map(parentOf)).toEqual(['cache.load default']);
    expect(named('cache.get Catalog.find').map(parentOf)).toEqual(['cache.load default']);
    expect(named('cache.load Catalog.find').map(parentOf)).toEqual(['cache.get Catalog.find']);
    expect(answers('cache.get default')).toEqual(Array(3).fill({ 'cache.name': 'default', 'cache.hit': false }));
  });

  it('end with the error of the factory, by its kind only', async () => {
    const cache = (await start(optionsOf())).get(CacheService);
    const fail = () => Promise.reject(new TypeError('hunter2'));
    await expect(cache.getOrSet('a', 60, fail)).rejects.toThrow('hunter2');
    for (const { attributes, status } of [...named('cache.get default'), ...named('cache.load default')]) {
      expect([attributes['error.type'], status]).toEqual(['TypeError', { code: SpanStatusCode.ERROR }]);
    }
  });

  it('hold no key, value or user, and names from a bounded set', async () => {
    const module = await start(optionsOf());
    const cache = module.get(CacheService);
    await inSpan(async () => {
      await cache.getOrSet('user:hunter2', 60, () => 'hunter2');
      await module.get(LockService).withLock('order:hunter2', async () => 'hunter2');
    });
    for (let id = 0; id < 300; id++) await cache.namespace(`n${id}`).get('x');
    await cache.namespace('evil\u001b[31m').get('x');
    expect(JSON.stringify(spans().map(({ name, attributes, events }) => [name, attributes, events]))).not.toMatch(
      /hunter2|\\u001b/,
    );
    expect(new Set(spans().map(({ name }) => name)).size).toBeLessThan(110);
  });

  it('note what breakers and locks do', async () => {
    const module = await start(optionsOf());
    const [circuits, locks] = [module.get(CircuitBreakerService), module.get(LockService)];
    await inSpan(async () => {
      const fail = () => circuits.execute('orders', () => Promise.reject(new Error('down')), { volumeThreshold: 1 });
      await expect(fail()).rejects.toThrow('down');
      await expect(fail()).rejects.toThrow('orders');
      const lock = await locks.acquire('x');
      await locks.acquire('x', { wait: '1ms' }).catch(() => undefined);
      await lock.release();
    });
    const [request] = named('request');
    const events = request!.events.map(({ name, attributes }) => [name, attributes]);
    const orders = { 'circuit_breaker.name': 'orders' };
    expect(events).toEqual([
      ['circuit_breaker.state_change', { ...orders, 'circuit_breaker.from': 'CLOSED', 'circuit_breaker.to': 'OPEN' }],
      ['circuit_breaker.refusal', orders],
      ['lock.acquired', { 'lock.name': 'other' }],
      ['lock.conflict', { 'lock.name': 'other' }],
    ]);
  });
});

it('say that a stale value was still held here while the server is away', async () => {
  const own = await startStandalone();
  const cache = (await start({ redis: { url: own.url, commandTimeout: '5s' } })).get(CacheService);
  const options = { ttl: '1s', grace: '1h' } as const;
  await eventually(async () => {
    await cache.getOrSet('a', options, () => 1);
    expect(answers('cache.get default').at(-1)).toMatchObject({ 'cache.tier': 'l1', 'cache.stale': false });
  });
  await own.kill();
  await eventually(async () => {
    await cache.getOrSet('a', options, () => Promise.reject(new Error('down')));
    expect(answers('cache.get default').at(-1)).toMatchObject({ 'cache.tier': 'l1', 'cache.stale': true });
  });
  await own.stop();
});

it('are not made, and cost nothing, without an SDK at the start, or when they are not wanted', async () => {
  const off = (await start({ tracing: { enabled: false } })).get(CacheService);
  trace.disable();
  const early = (await start()).get(CacheService);
  register();
  for (const cache of [off, early, off.namespace('n')]) {
    await cache.getOrSet('a', 60, () => 1);
    expect(cache).not.toBeInstanceOf(TracedCacheService);
  }
  expect(spans()).toEqual([]);
});
