import { fork } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { Redis } from 'ioredis';
import { StoreUnavailableError } from '../../src/common/errors.ts';
import type { AvailabilityState } from '../../src/redis/availability.types.ts';
import type { RedisConnection } from '../../src/redis/redis.connection.ts';
import { Connections, standalone } from '../support/connections.ts';
import { eventually } from '../support/eventually.ts';
import { freePorts } from '../support/free-ports.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const BOOT_BUDGET_MS = 300;

const connections = new Connections();
const cleanUps: (() => unknown)[] = [];

afterEach(async () => {
  // All at once: a connection that cannot be closed must not leave servers running.
  await Promise.all([connections.close, ...cleanUps.splice(0)].map((cleanUp) => cleanUp()));
});

async function start(args?: readonly string[]): Promise<TestServers> {
  const servers = await startStandalone(args);
  cleanUps.push(() => servers.stop());
  return servers;
}

async function startProxy(port: number): Promise<FaultProxy> {
  const proxy = await FaultProxy.start(port);
  cleanUps.push(() => proxy.close());
  return proxy;
}

/** Keeps the lines a connection logs. */
function recorder() {
  const lines: string[] = [];
  const write = (line: string) => lines.push(line);
  return { lines, log: write, warn: write, error: write };
}

function changesOf(connection: RedisConnection): AvailabilityState[] {
  const changes: AvailabilityState[] = [];
  connection.onStateChange(({ to }) => changes.push(to));
  return changes;
}

const expectUsable = (connection: RedisConnection, withinMs = 3_000) =>
  eventually(async () => expect(await connection.get('absent')).toBeNull(), { withinMs });

describe('starting', () => {
  it('resolves when the server can be used, and knows its clock', async () => {
    const servers = await start();
    const connection = await connections.open(servers.port);
    expect(connection.isAvailable).toBe(true);
    const [, seconds] = /\$\d+\r\n(\d+)/.exec(await servers.ask('TIME'))!;
    expect(Math.abs(connection.now() / 1_000 - Number(seconds))).toBeLessThan(2);
  });

  it('goes on without a server after the boot budget, and uses it when it appears', async () => {
    const servers = await start();
    await servers.kill();
    const logger = recorder();
    const began = performance.now();
    const connection = await connections.open(servers.port, { bootBudgetMs: BOOT_BUDGET_MS, logger });
    expect(performance.now() - began).toBeGreaterThan(BOOT_BUDGET_MS - 10);
    expect(performance.now() - began).toBeLessThan(BOOT_BUDGET_MS + 1_000);
    expect(connection.isAvailable).toBe(false);
    await expect(connection.get('a')).rejects.toBeInstanceOf(StoreUnavailableError);
    await servers.restart();
    await expectUsable(connection);
    expect(logger.lines).toEqual([
      expect.stringMatching(`degraded since .* \\(ECONNREFUSED\\): 127.0.0.1:${servers.port} cannot be used`),
      expect.stringContaining('recovering since'),
      expect.stringMatching(`healthy since .*: 127.0.0.1:${servers.port} is used`),
    ]);
  });

  it('goes on when the server accepts the connection and then says nothing', async () => {
    const servers = await start();
    const proxy = await startProxy(servers.port);
    proxy.mode = 'blackhole';
    const logger = recorder();
    const connection = await connections.open(proxy.port, { bootBudgetMs: BOOT_BUDGET_MS, logger });
    expect(connection.isAvailable).toBe(false);
    expect(logger.lines).toEqual([expect.stringContaining(`no answer within ${BOOT_BUDGET_MS} ms`)]);
    await eventually(() => proxy.accepted > 1, { withinMs: 3_000 });
    proxy.mode = 'pass';
    proxy.cut();
    await expectUsable(connection);
    expect(logger.lines).toHaveLength(3);
  });

  it('goes on when the name of the host is wrong', async () => {
    const logger = recorder();
    const target = { kind: 'standalone', nodes: [{ host: 'no-such-host.invalid', port: 6379 }] } as const;
    const connection = await connections.open(target, { bootBudgetMs: BOOT_BUDGET_MS, logger });
    expect(connection.isAvailable).toBe(false);
    expect(logger.lines).toHaveLength(1);
  });

  it('waits until the server has loaded its data, without showing that to any caller', async () => {
    const servers = await start(['--key-load-delay', '1000', '--loading-process-events-interval-bytes', '1024']);
    await servers.ask('EVAL', "for i = 1, 1000 do redis.call('SET', 'key:' .. i, i) end", '0');
    await servers.ask('SAVE');
    await servers.kill();
    const restarted = servers.restart();
    await eventually(async () => expect(await servers.ask('PING')).toContain('LOADING'));
    const connection = await connections.open(servers.port, { bootBudgetMs: 10 });
    await expect(connection.get('key:1')).rejects.toBeInstanceOf(StoreUnavailableError);
    await eventually(async () => expect(await connection.get('key:1')).toEqual(Buffer.from('1')));
    await restarted;
  });
});

describe('a server that throws keys away', () => {
  const warnings = ({ lines }: { lines: readonly string[] }) => lines.filter((line) => line.includes('may evict keys'));

  it.each([
    ['allkeys-lru', [], 1],
    ['volatile-ttl', ['-config'], 1],
    ['allkeys-lfu', ['-config', '-info'], 0],
    ['noeviction', [], 0],
  ])('is told of once: %s %j', async (policy, rules, times) => {
    const servers = await start(['--maxmemory-policy', policy]);
    await servers.ask('ACL', 'SETUSER', 'default', ...rules);
    const logger = recorder();
    const connection = await connections.open(servers.port, { logger, commandTimeoutMs: 5_000 });
    expect(connection.isAvailable).toBe(true);
    const changes = changesOf(connection);
    await servers.ask('CLIENT', 'KILL', 'TYPE', 'normal');
    await eventually(() => changes.at(-1) === 'healthy', { withinMs: 10_000 });
    expect(warnings(logger)).toHaveLength(times);
    for (const line of warnings(logger)) expect(line).toContain(`maxmemory-policy ${policy}`);
  });
});

describe('losing the server', () => {
  it('tells and logs one change each way, however many commands and attempts fail', async () => {
    const servers = await start();
    const logger = recorder();
    const connection = await connections.open(servers.port, { logger });
    const changes = changesOf(connection);
    await servers.kill();
    await eventually(() => !connection.isAvailable);
    for (let times = 0; times < 20; times += 1) {
      await connection.get('a').catch(() => undefined);
      await sleep(20);
    }
    await servers.restart();
    await expectUsable(connection);
    expect(changes).toEqual(['degraded', 'recovering', 'healthy']);
    expect(logger.lines).toHaveLength(4);
  });

  it('connects again when the server hangs, as soon as it answers', async () => {
    const servers = await start();
    const proxy = await startProxy(servers.port);
    const connection = await connections.open(proxy.port);
    proxy.mode = 'blackhole';
    await connection.get('a').catch(() => undefined);
    await eventually(() => !connection.isAvailable, { withinMs: 3_000 });
    proxy.mode = 'pass';
    proxy.cut();
    await expectUsable(connection);
  });

  it('leaves an idle connection alone', async () => {
    const servers = await start();
    const proxy = await startProxy(servers.port);
    const connection = await connections.open(proxy.port);
    await connection.get('a');
    // Longer than a socket may owe an answer.
    await sleep(1_300);
    expect(connection.isAvailable).toBe(true);
    expect(proxy.accepted).toBe(1);
  });

  it('waits on its socket for as long as a command may take', async () => {
    const servers = await start(['--enable-debug-command', 'yes']);
    const connection = await connections.open(servers.port, { commandTimeoutMs: 10_000 });
    const changes = changesOf(connection);
    expect(await connection.execute('debug', (client) => client.call('DEBUG', 'SLEEP', '1.3'))).toBe('OK');
    expect(changes).toEqual([]);
  });

  it('backs off while it is rejected, and two connections do not come back in the same instant', async () => {
    const servers = await start();
    const proxies = [await startProxy(servers.port), await startProxy(servers.port)];
    await Promise.all(proxies.map((proxy) => connections.open(proxy.port)));
    for (const proxy of proxies) {
      proxy.mode = 'reject';
      proxy.cut();
    }
    await sleep(1_500);
    for (const { accepted } of proxies) {
      expect(accepted).toBeGreaterThan(3);
      expect(accepted).toBeLessThan(12);
    }
  });
});

describe('credentials', () => {
  const PASSWORD = 'hunter2-correct';
  const USER = 'ada-lovelace';

  const startWithUser = () =>
    start(['--user', USER, 'on', `>${PASSWORD}`, '~*', '&*', '+@all', '--user', 'default', 'off']);

  it('are used, and appear neither in log lines nor when the connection is inspected', async () => {
    const servers = await startWithUser();
    const logger = recorder();
    const target = standalone(servers.port, { username: USER, password: PASSWORD });
    const connection = await connections.open(target, { logger });
    await expectUsable(connection);
    const shown = [
      inspect(connection, { depth: 10, showHidden: true }),
      inspect(connection, { depth: 10, showHidden: true, customInspect: false }),
      inspect({ nested: { connection } }),
      JSON.stringify(connection),
      ...logger.lines,
    ].join('\n');
    expect(shown).toContain(`127.0.0.1:${servers.port}`);
    expect(shown).not.toMatch(/hunter2|ada-lovelace/);
  });

  it('that are refused are reported once, without being shown', async () => {
    const servers = await startWithUser();
    const logger = recorder();
    const target = standalone(servers.port, { username: USER, password: 'hunter2-wrong' });
    const connection = await connections.open(target, { logger, bootBudgetMs: BOOT_BUDGET_MS });
    await sleep(500);
    expect(logger.lines).toEqual([
      `cache: 127.0.0.1:${servers.port} does not accept our user or password (WRONGPASS): check the configuration`,
      expect.stringContaining('(the server answered WRONGPASS)'),
    ]);
    await expect(connection.get('a')).rejects.toThrow('the server is not connected');
    expect(inspect(connection)).not.toContain('hunter2');
  });

  it('that are missing are reported as such', async () => {
    const servers = await start(['--requirepass', PASSWORD]);
    const logger = recorder();
    await connections.open(servers.port, { logger, bootBudgetMs: BOOT_BUDGET_MS });
    expect(logger.lines).toEqual([
      expect.stringContaining('does not accept our user or password (NOAUTH)'),
      expect.stringContaining('(the server answered NOAUTH)'),
    ]);
  });
});

describe('scan', () => {
  it('finds every key that matches, in pages, and no other', async () => {
    const servers = await start();
    const connection = await connections.open(servers.port);
    await servers.ask('EVAL', "for i = 1, 3000 do redis.call('SET', KEYS[1] .. i, i) end", '1', 'app:v1:');
    await servers.ask('MSET', 'other:1', 'x', 'app:v2:1', 'x');
    const pages: (readonly string[])[] = [];
    for await (const page of connection.scan('app:v1:*')) pages.push(page);
    expect(pages.length).toBeGreaterThan(1);
    expect(new Set(pages.flat())).toEqual(new Set(Array.from({ length: 3_000 }, (_, index) => `app:v1:${index + 1}`)));
  });

  it('fails when the server is lost on the way, rather than ending early', async () => {
    const servers = await start();
    const connection = await connections.open(servers.port);
    await servers.ask('EVAL', "for i = 1, 3000 do redis.call('SET', 'key:' .. i, i) end", '0');
    const all = async () => {
      for await (const page of connection.scan('*')) if (page.length > 0) await servers.kill();
    };
    await expect(all()).rejects.toMatchObject({ code: expect.stringMatching(/UNAVAILABLE|UNKNOWN/) as string });
  });
});

describe('a lent client', () => {
  it('is used as it is and is not closed', async () => {
    const servers = await start();
    const client = new Redis(servers.port, '127.0.0.1');
    cleanUps.push(() => client.disconnect());
    const listeners = () => ['ready', 'close', 'error', 'end'].map((event) => client.listenerCount(event));
    const before = listeners();
    const connection = await connections.open({ kind: 'instance', client });
    expect(connection.client).toBe(client);
    await expectUsable(connection);
    await connection.close();
    expect(connection.isAvailable).toBe(false);
    await expect(connection.get('a')).rejects.toBeInstanceOf(StoreUnavailableError);
    expect(await client.ping()).toBe('PONG');
    expect(listeners()).toEqual(before);
  });

  it('is used at once when it is connected already', async () => {
    const servers = await start();
    const client = new Redis(servers.port, '127.0.0.1');
    cleanUps.push(() => client.disconnect());
    await once(client, 'ready');
    const connection = await connections.open({ kind: 'instance', client });
    expect(connection.state).toBe('healthy');
    expect(await connection.get('absent')).toBeNull();
  });
});

describe('closing', () => {
  it('ends the attempts to recover, also on a lent client', async () => {
    const servers = await start();
    const client = new Redis(servers.port, '127.0.0.1');
    cleanUps.push(() => client.disconnect());
    const connection = connections.create({ kind: 'instance', client }, { bootBudgetMs: BOOT_BUDGET_MS });
    let attempts = 0;
    connection.onRecovering(() => {
      attempts += 1;
      return Promise.reject(new Error('not yet'));
    });
    await connection.connect();
    await eventually(() => attempts > 0);
    await connection.close();
    const before = attempts;
    await sleep(1_100);
    expect(attempts).toBe(before);
  });

  /** A process that opens a connection and a subscription, closes both and has nothing else to do. */
  async function exitOf(port: number, act: 'use' | 'wait'): Promise<{ code: number; closedInMs: number }> {
    const child = fork(join(__dirname, '../support/closing-process.ts'), [String(port), act], {
      execArgv: ['--import', '@swc-node/register/esm-register'],
      env: { ...process.env, SWC_NODE_PROJECT: join(__dirname, '../../tsconfig.json') },
    });
    cleanUps.push(() => child.kill('SIGKILL'));
    const messages: { closedInMs: number }[] = [];
    child.on('message', (message) => messages.push(message as { closedInMs: number }));
    const [code] = (await once(child, 'exit', { signal: AbortSignal.timeout(15_000) })) as [number];
    const [{ closedInMs } = { closedInMs: NaN }] = messages;
    return { code, closedInMs };
  }

  it('leaves nothing behind that keeps the process alive', async () => {
    const servers = await start();
    expect(await exitOf(servers.port, 'use')).toMatchObject({ code: 0 });
  });

  it('takes less than two seconds when the server has never been there', async () => {
    const [port] = await freePorts(1);
    const { code, closedInMs } = await exitOf(port!, 'wait');
    expect(code).toBe(0);
    expect(closedInMs).toBeLessThan(2_000);
  });

  it('takes less than two seconds when the server hangs', async () => {
    const servers = await start();
    const proxy = await startProxy(servers.port);
    const exit = exitOf(proxy.port, 'wait');
    await eventually(() => proxy.accepted >= 2, { withinMs: 10_000 });
    proxy.mode = 'blackhole';
    const { code, closedInMs } = await exit;
    expect(code).toBe(0);
    expect(closedInMs).toBeLessThan(2_000);
  });
});
