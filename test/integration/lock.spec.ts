import { setTimeout as sleep } from 'node:timers/promises';
import { KEY_DEFAULTS, KeySpace } from '../../src/common/keys.ts';
import { LockKeeper } from '../../src/lock/lock-keeper.ts';
import { LockLostError, LockUnavailableError } from '../../src/lock/lock.errors.ts';
import type { Lock } from '../../src/lock/lock.handle.ts';
import { LockService } from '../../src/lock/lock.service.ts';
import { MemoryLockStore } from '../../src/lock/memory-lock.store.ts';
import { RedisLockStore } from '../../src/lock/redis-lock.store.ts';
import type { MessageBus } from '../../src/message-bus/message-bus.interface.ts';
import { RedisMessageBus } from '../../src/message-bus/redis-message-bus.ts';
import type { RedisConnection } from '../../src/redis/redis.connection.ts';
import { REDIS_TIMEOUTS } from '../../src/redis/redis.options.ts';
import { describeLockStoreContract, type LockStoreSetup } from '../contracts/lock-store.contract.ts';
import { connectPatiently, standalone } from '../support/connections.ts';
import { eventually } from '../support/eventually.ts';
import { type Hold, lockViolations } from '../support/history.ts';
import { ask, startStandalone, type TestServers } from '../support/servers.ts';
import { ONE_SERVER, TOPOLOGIES, type Topology } from '../support/topologies.ts';

async function openMemory(): Promise<LockStoreSetup> {
  let nowMs = Date.UTC(2030, 0, 1);
  const store = new MemoryLockStore({ now: () => nowMs });
  return {
    store,
    pass: async (ms) => void (nowMs += ms),
    // A process keeps its data as long as itself: what can be forgotten here are the leases.
    loseData: async () => {
      for (
        let page = store.list('*', undefined, 1_000);
        page.items.length > 0;
        page = store.list('*', undefined, 1_000)
      ) {
        for (const { key } of page.items) store.forceRelease(key);
      }
    },
    close: async () => undefined,
  };
}

const openServer = (topology: Topology) => async (): Promise<LockStoreSetup> => {
  const servers = await topology.start();
  const connection = await connectPatiently(topology.targetOf(servers));
  const bus = new RedisMessageBus(connection);
  const primaries = topology.primariesOf(servers);
  return {
    store: new RedisLockStore(connection, bus, 'hand-off'),
    pass: (ms) => sleep(ms),
    loseData: () => Promise.all(primaries.map((port) => ask(port, 'FLUSHALL'))),
    close: async () => {
      await bus.close();
      await connection.close();
      await servers.stop();
    },
  };
};

describeLockStoreContract('memory', openMemory);
describeLockStoreContract('server', openServer(ONE_SERVER));
for (const [name, topology] of Object.entries(TOPOLOGIES)) {
  describeLockStoreContract(name, openServer(topology), false);
}

const keys = new KeySpace(KEY_DEFAULTS);
const HAND_OFF = keys.internal('lock-hand-off');

const serviceOn = (connection: RedisConnection, bus: MessageBus) =>
  new LockService(new LockKeeper(new RedisLockStore(connection, bus, HAND_OFF)), keys);

describe('locks on a server', () => {
  let servers: TestServers;
  let connections: RedisConnection[];
  let here: LockService;
  let there: LockService;
  const buses: RedisMessageBus[] = [];

  beforeAll(async () => {
    servers = await startStandalone();
    connections = await Promise.all([
      connectPatiently(standalone(servers.port)),
      connectPatiently(standalone(servers.port)),
    ]);
    buses.push(...connections.map((connection) => new RedisMessageBus(connection)));
    [here, there] = connections.map((connection, i) => serviceOn(connection, buses[i]!)) as [LockService, LockService];
  });
  beforeEach(() => servers.ask('FLUSHALL'));
  afterAll(async () => {
    await Promise.all(buses.map((bus) => bus.close()));
    await Promise.all(connections.map((connection) => connection.close()));
    await servers.stop();
  });

  const client = () => connections[0]!.client;
  const keyOf = (resource: string) => keys.internal('lock', resource);

  it('are held by one of forty callers in two processes at a time, with growing fences', async () => {
    const holds: Hold[] = [];
    const work = async (locks: LockService) => {
      const askedAt = performance.now();
      const lock = await locks.acquire('order:1', { wait: '60s', retryDelay: 10 });
      const from = performance.now();
      await sleep(2);
      holds.push({ askedAt, from, to: performance.now(), fence: lock.fence });
      expect(await lock.release()).toBe(true);
    };
    await Promise.all(Array.from({ length: 40 }, (_, i) => work(i % 2 === 0 ? here : there)));
    expect(holds).toHaveLength(40);
    expect(lockViolations(holds)).toEqual([]);
  });

  it('have a name outside the keys of the application, and a TTL, held and given back', async () => {
    const lock = await here.acquire('order:create:u1', { ttl: '10s' });
    expect(await client().keys('*')).toEqual(['app:v1@lock:order:create:u1']);
    expect(await client().pttl(keyOf('order:create:u1'))).toBeGreaterThan(9_000);
    await lock.release();
    expect(await client().pttl(keyOf('order:create:u1'))).toBeGreaterThan(0);
    expect(await client().pttl(keyOf('order:create:u1'))).toBeLessThanOrEqual(60_000);
  });

  it('are all on the pages of a list while the server makes its table smaller', async () => {
    const fillers = Array.from({ length: 4_000 }, (_, i) => `filler:${i}`);
    const names = Array.from({ length: 60 }, (_, i) => `listed:${i}`);
    for (const limit of [1, 2, 7, 20]) {
      await client().mset(...fillers.flatMap((key) => [key, '']));
      const taken = await Promise.all(names.map((name) => here.acquire(name)));
      const found = new Set<string>();
      let cursor: string | null = null;
      do {
        const page = await here.list(cursor, limit);
        expect(page.items.length).toBeLessThanOrEqual(limit);
        for (const { resource } of page.items) found.add(resource);
        if (found.size === limit) {
          await client().del(...fillers);
          await sleep(350);
        }
        ({ cursor } = page);
      } while (cursor !== null);
      expect(found.size).toBe(names.length);
      await Promise.all(taken.map((lock) => lock.release()));
    }
  });

  it('are prolonged for as long as the work takes', async () => {
    await here.withLock(
      'order:1',
      async (lock) => {
        await sleep(1_200);
        expect(await there.tryAcquire('order:1')).toBeNull();
        expect(lock.signal.aborted).toBe(false);
      },
      '600ms',
    );
    expect(await there.isHeld('order:1')).toBe(false);
  });

  it('are given back when the work fails', async () => {
    await expect(here.withLock('order:1', () => Promise.reject(new Error('no stock')))).rejects.toThrow('no stock');
    expect(await there.isHeld('order:1')).toBe(false);
  });

  it('are free again when the time of a holder that does not prolong is over', async () => {
    const token = await here.acquireLock('order:1', 300);
    expect(await there.acquireLock('order:1', 300)).toBeNull();
    const next = await there.acquire('order:1', { wait: '10s' });
    expect(await here.releaseLock('order:1', token!)).toBe(false);
    expect(await next.release()).toBe(true);
  });

  it.each(['', 'x', 'f'.repeat(32)])('are not given back by the token %j', async (token) => {
    await here.acquireLock('order:1', 10_000);
    const before = await client().getBuffer(keyOf('order:1'));
    expect(await there.releaseLock('order:1', token)).toBe(false);
    expect(await client().getBuffer(keyOf('order:1'))).toEqual(before);
  });

  it('tell their holder when the server lost its data, and give the next one a greater fence', async () => {
    let first: Lock | undefined;
    const work = here.withLock('order:1', (lock) => holdUntilLost((first = lock)), '900ms');
    await eventually(() => first !== undefined);
    await servers.ask('FLUSHALL');
    const second = await there.acquire('order:1', { ttl: '30s' });
    expect(second.fence).toBeGreaterThan(first!.fence);
    await expect(work).rejects.toThrow(LockLostError);
    expect(await there.isHeld('order:1')).toBe(true);
    await second.release();
  });

  it('give a greater fence than the last one while it is remembered, whatever the clock says', async () => {
    const lock = await here.acquire('order:1');
    await lock.release();
    const anHourAhead = lock.fence + 3_600_000_000;
    const store = new RedisLockStore(connections[0]!, buses[0]!, HAND_OFF);
    const claim = { token: 'x', ttlMs: 1_000, limit: 1, atLeast: anHourAhead };
    await store.acquire(keyOf('order:1'), claim);
    await store.release(keyOf('order:1'), 'x');
    const next = await there.acquire('order:1');
    expect(next.fence).toBe(anHourAhead + 1);
    await next.release();
  });

  it('survive a server that forgets its scripts', async () => {
    for (let i = 0; i < 20; i++) {
      await servers.ask('SCRIPT', 'FLUSH');
      await here.withLock('order:1', async () => expect(await there.tryAcquire('order:1')).toBeNull());
    }
  });
});

describe('locks on a server that goes away', () => {
  let servers: TestServers;
  let connection: RedisConnection;
  let bus: RedisMessageBus;
  let locks: LockService;

  beforeEach(async () => {
    servers = await startStandalone();
    connection = await connectPatiently(standalone(servers.port), REDIS_TIMEOUTS.commandTimeoutMs);
    bus = new RedisMessageBus(connection);
    locks = serviceOn(connection, bus);
  });
  afterEach(async () => {
    servers.resume();
    await bus.close();
    await connection.close();
    await servers.stop();
  });

  it('are ours when the answer was lost and we ask again', async () => {
    await locks.withLock('warm:up', () => undefined);
    servers.pause();
    const asked = locks.acquire('order:1', { wait: '10s' });
    await sleep(REDIS_TIMEOUTS.commandTimeoutMs + 100);
    servers.resume();
    const lock = await asked;
    expect(await locks.isHeld('order:1')).toBe(true);
    expect(await lock.release()).toBe(true);
    expect(await locks.tryAcquire('order:1')).not.toBeNull();
  });

  it('are free again when it never came out whose they are', async () => {
    servers.pause();
    await expect(locks.tryAcquire('order:1', { ttl: '1s' })).rejects.toThrow(LockUnavailableError);
    servers.resume();
    expect(await eventually(() => locks.tryAcquire('order:1').catch(() => null))).not.toBeNull();
  });

  it('cannot be taken, or only in this process', async () => {
    await servers.kill();
    await expect(locks.acquire('order:1')).rejects.toThrow(LockUnavailableError);
    await expect(locks.acquireLock('order:1', 1_000)).rejects.toThrow(LockUnavailableError);
    const local = await locks.acquire('order:1', { onOutage: 'local' });
    expect(local.degraded).toBe(true);
    expect(await locks.tryAcquire('order:1', { onOutage: 'local' })).toBeNull();
    expect(await local.release()).toBe(true);
  });

  it.each(['kill', 'pause'] as const)('are lost when it is gone for as long as the lease (%s)', async (fault) => {
    let reason: unknown;
    const work = locks.withLock(
      'order:1',
      async (lock) => {
        await servers[fault]();
        await holdUntilLost(lock);
        reason = lock.signal.reason;
      },
      '1s',
    );
    await expect(work).rejects.toThrow(LockLostError);
    expect(reason).toBeInstanceOf(LockLostError);
  });

  it('are given back in vain without an error', async () => {
    const lock = await locks.acquire('order:1');
    await servers.kill();
    expect(await lock.release()).toBe(false);
    expect(await locks.releaseLock('order:1', lock.token)).toBe(false);
    expect(lock.signal.aborted).toBe(false);
  });
});

const holdUntilLost = ({ signal }: Lock): Promise<void> =>
  new Promise((done) => signal.addEventListener('abort', () => done(), { once: true }));
