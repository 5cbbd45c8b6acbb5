import { isStoreFailure } from '../../src/common/errors.ts';
import { RedisMessageBus } from '../../src/message-bus/redis-message-bus.ts';
import type { RedisConnection } from '../../src/redis/redis.connection.ts';
import type { RedisTlsOptions } from '../../src/redis/redis.options.ts';
import { defineScript } from '../../src/redis/redis.script.ts';
import { TEST_CERTIFICATE, TEST_HOST, TEST_KEY } from '../support/certificate.ts';
import { Connections, standalone } from '../support/connections.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { FaultProxy } from '../support/proxy.ts';
import { ask, startCluster, startSentinels, startStandalone, type TestServers } from '../support/servers.ts';

const COUNT = defineScript({ name: 'test.count', body: `return redis.call('INCR', key)`, reply: Number });

const connections = new Connections();
afterEach(connections.close);

const nodesAt = (ports: readonly number[]) => {
  const [first, ...others] = ports.map((port) => ({ host: HOST, port }));
  return [first!, ...others] as const;
};

async function keysMatching(connection: RedisConnection, pattern: string): Promise<string[]> {
  const keys = new Set<string>();
  for await (const page of connection.scan(pattern)) for (const key of page) keys.add(key);
  return [...keys].sort();
}

/** Works on keys of many slots at once, right after the connection was opened. */
async function expectToWork(connection: RedisConnection): Promise<void> {
  const keys = Array.from({ length: 300 }, (_, index) => `key:${index}`).sort();
  const counts = await Promise.all(keys.map((key) => connection.run(COUNT, key)));
  expect(counts).toEqual(Array(300).fill(1));
  expect(await Promise.all(keys.map((key) => connection.get(key)))).toEqual(Array(300).fill(Buffer.from('1')));
  expect(await keysMatching(connection, 'key:*')).toEqual(keys);
  expect(Math.abs(connection.now() - Date.now())).toBeLessThan(1_000);
}

/** Messages published through one connection arrive at a subscriber of another one. */
async function expectMessages(publisher: RedisConnection, listener: RedisConnection): Promise<void> {
  const buses = [new RedisMessageBus(publisher), new RedisMessageBus(listener)] as const;
  const received: string[] = [];
  await buses[1].subscribe('channel', (payload) => void received.push(payload.toString()));
  await buses[0].publish('channel', 'message');
  await eventually(() => expect(received).toEqual(['message']));
  await Promise.all(buses.map((bus) => bus.close()));
}

describe('a connection to a cluster', () => {
  let servers: TestServers;
  const open = () => connections.open({ kind: 'cluster', nodes: nodesAt(servers.ports.slice(0, 2)) });

  beforeAll(async () => {
    servers = await startCluster();
  });
  afterAll(() => servers.stop());

  it('reads, runs scripts and scans over all primaries', async () => {
    const connection = await open();
    expect(connection.isOneNode).toBe(false);
    await expectToWork(connection);
  });

  it('carries messages whichever node each process listens to', async () => {
    await expectMessages(await open(), await open());
  });

  it('fails to scan when a primary is lost, rather than leaving its keys out', async () => {
    const connection = await open();
    await servers.kill(2);
    const scan = () => keysMatching(connection, 'key:*').then(Array, (error: unknown) => error);
    await eventually(async () => expect(isStoreFailure(await scan())).toBe(true));
    // The replica takes over; from then on every key is found again.
    await eventually(async () => expect(await keysMatching(connection, 'key:*')).toHaveLength(300), {
      withinMs: 10_000,
      everyMs: 50,
    });
  });
});

describe('a connection through sentinels', () => {
  let servers: TestServers;
  const open = () =>
    connections.open({ kind: 'sentinel', nodes: nodesAt(servers.ports.slice(2)), sentinelName: 'main' });

  beforeAll(async () => {
    servers = await startSentinels('main');
  });
  afterAll(() => servers.stop());

  it('reads, runs scripts and scans on the primary', async () => {
    await expectToWork(await open());
    expect(await ask(servers.ports[0]!, 'DBSIZE')).toBe(':300\r\n');
  });

  it('carries messages', async () => {
    await expectMessages(await open(), await open());
  });

  it('finds the new primary after the old one has failed', async () => {
    const connection = await open();
    await servers.kill(0);
    await eventually(() => connection.run(COUNT, 'after'), { withinMs: 15_000, everyMs: 50 });
    expect(await ask(servers.ports[1]!, 'GET', 'after')).not.toBe('$-1\r\n');
  });
});

describe('a connection with TLS', () => {
  let servers: TestServers;
  let proxy: FaultProxy;

  beforeAll(async () => {
    servers = await startStandalone();
    proxy = await FaultProxy.start(servers.port, { tls: { key: TEST_KEY, cert: TEST_CERTIFICATE } });
  });
  afterAll(async () => {
    await proxy.close();
    await servers.stop();
  });

  async function openWith(tls: RedisTlsOptions) {
    const lines: string[] = [];
    const write = (line: string) => lines.push(line);
    const logger = { log: write, warn: write, error: write };
    const connection = await connections.open({ ...standalone(proxy.port), tls }, { bootBudgetMs: 500, logger });
    return { connection, lines };
  }

  it('is made to a server whose certificate is signed by the given authority and carries the given name', async () => {
    const { connection } = await openWith({ ca: TEST_CERTIFICATE, servername: TEST_HOST });
    expect(await connection.get('absent')).toBeNull();
  });

  it.each([
    ['signed by nobody known', { servername: TEST_HOST }, 'DEPTH_ZERO_SELF_SIGNED_CERT'],
    ['for another host', { ca: TEST_CERTIFICATE, servername: 'other.test' }, 'ERR_TLS_CERT_ALTNAME_INVALID'],
  ])('is refused when the certificate is %s', async (_, tls, reason) => {
    const { connection, lines } = await openWith(tls);
    expect(connection.isAvailable).toBe(false);
    expect(lines).toEqual([expect.stringContaining(reason)]);
  });
});
