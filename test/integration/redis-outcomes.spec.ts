import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { OutcomeUnknownError, StoreUnavailableError, WrongTypeError } from '../../src/common/errors.ts';
import type { RedisConnection } from '../../src/redis/redis.connection.ts';
import { defineScript } from '../../src/redis/redis.script.ts';
import { Connections } from '../support/connections.ts';
import { eventually } from '../support/eventually.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const COMMAND_TIMEOUT_MS = 200;
/** Far less than ioredis and the socket would wait by themselves. */
const PROMPTLY_MS = 500;

const STORE = defineScript({
  name: 'test.store',
  args: ['text'],
  body: `return redis.call('SET', key, text)`,
  reply: (raw) => raw,
});

const connections = new Connections();
let servers: TestServers;
let proxy: FaultProxy;
let connection: RedisConnection;

beforeEach(async () => {
  servers = await startStandalone();
  proxy = await FaultProxy.start(servers.port);
  connection = await connections.open(proxy.port, { commandTimeoutMs: COMMAND_TIMEOUT_MS });
});
afterEach(async () => {
  await connections.close();
  await proxy.close();
  await servers.stop();
});

/** The error of a call, and how long it took. */
async function failureOf(call: () => Promise<unknown>): Promise<{ error: Error; tookMs: number }> {
  const start = performance.now();
  const error = await call().then(
    () => new Error('it succeeded'),
    (failure: unknown) => failure as Error,
  );
  return { error, tookMs: performance.now() - start };
}

const set = (key: string, value: string) => () => connection.execute('set', (client) => client.set(key, value));
const waitUntilAvailable = () => eventually(() => connection.isAvailable, { withinMs: 3_000 });

describe('a command without an answer', () => {
  it('ends as unknown at the deadline, for every kind of call', async () => {
    proxy.mode = 'blackhole';
    const calls = [set('a', '1'), () => connection.get('a'), () => connection.run(STORE, 'a', '2')];
    for (const { error, tookMs } of await Promise.all(calls.map(failureOf))) {
      expect(error).toBeInstanceOf(OutcomeUnknownError);
      expect(error.message).toContain('no answer within 200 ms');
      expect(tookMs).toBeGreaterThan(COMMAND_TIMEOUT_MS - 10);
      expect(tookMs).toBeLessThan(PROMPTLY_MS);
    }
  });

  it('ends as unknown when the server is frozen, and may be executed later', async () => {
    servers.pause();
    expect((await failureOf(set('ghost', 'late'))).error).toBeInstanceOf(OutcomeUnknownError);
    servers.resume();
    await eventually(async () => expect(await servers.ask('GET', 'ghost')).toContain('late'));
  });

  it('ends as unknown when only the reply is lost: it was executed', async () => {
    proxy.mode = 'drop-replies';
    expect((await failureOf(set('a', 'stored'))).error).toBeInstanceOf(OutcomeUnknownError);
    expect(await servers.ask('GET', 'a')).toContain('stored');
  });

  it('ends as unknown when only the request is lost: it was not executed', async () => {
    proxy.mode = 'drop-requests';
    expect((await failureOf(set('a', 'stored'))).error).toBeInstanceOf(OutcomeUnknownError);
    expect(await servers.ask('GET', 'a')).toBe('$-1\r\n');
  });

  it('ends as unknown at once when the connection is lost, and is never sent again', async () => {
    proxy.mode = 'cut-after-request';
    const { error, tookMs } = await failureOf(() => connection.execute('incr', (client) => client.incr('count')));
    expect(error).toBeInstanceOf(OutcomeUnknownError);
    expect(tookMs).toBeLessThan(COMMAND_TIMEOUT_MS);
    proxy.mode = 'pass';
    await waitUntilAvailable();
    expect(await connection.get('count')).toEqual(Buffer.from('1'));
  });

  it('does not take the connection down when others are answered in time again', async () => {
    proxy.latencyMs = 150;
    expect((await failureOf(set('a', '1'))).error).toBeInstanceOf(OutcomeUnknownError);
    proxy.latencyMs = 0;
    await eventually(async () => expect(await connection.get('a')).toEqual(Buffer.from('1')));
    expect(proxy.accepted).toBe(1);
  });
});

describe('a command that cannot be sent', () => {
  it('fails at once as not executed, also while a reconnection is going on', async () => {
    await servers.kill();
    await eventually(() => !connection.isAvailable);
    for (const call of [set('a', '1'), () => connection.get('a'), () => connection.run(STORE, 'a', '2')]) {
      const { error, tookMs } = await failureOf(call);
      expect(error).toBeInstanceOf(StoreUnavailableError);
      expect(tookMs).toBeLessThan(50);
    }
  });

  it('fails as not executed between the loss of the connection and its discovery', async () => {
    // Half-closed by us: ioredis still calls the connection ready.
    connection.client.disconnect(true);
    expect(connection.client.status).toBe('ready');
    expect((await failureOf(set('a', '1'))).error).toBeInstanceOf(StoreUnavailableError);
    await waitUntilAvailable();
  });
});

describe('a command that the server refuses', () => {
  it('was not executed when memory is full, while reads go on', async () => {
    await set('a', '1')();
    await servers.ask('CONFIG', 'SET', 'maxmemory', '1');
    for (const call of [set('a', '2'), () => connection.run(STORE, 'a', '3')]) {
      const { error } = await failureOf(call);
      expect(error).toBeInstanceOf(StoreUnavailableError);
      expect(error.message).toContain('the server answered OOM');
    }
    expect(await connection.get('a')).toEqual(Buffer.from('1'));
  });

  it.each([
    ['a command', () => set('a', '1')],
    ['a script', () => () => connection.run(STORE, 'a', '1')],
  ])(
    'was not executed when %s meets a replica, which is asked again but not reconnected in a loop',
    async (_, callOf) => {
      const call = callOf();
      await servers.ask('REPLICAOF', '127.0.0.1', '1');
      const { error } = await failureOf(call);
      expect(error).toBeInstanceOf(StoreUnavailableError);
      expect(error.message).toContain('the server answered READONLY');
      await eventually(() => proxy.accepted === 2);
      for (let times = 0; times < 20; times += 1) {
        expect(connection.state).toBe('degraded');
        expect((await failureOf(call)).error).toBeInstanceOf(StoreUnavailableError);
        await sleep(50);
      }
      expect(proxy.accepted).toBe(2);
      await servers.ask('REPLICAOF', 'NO', 'ONE');
      await waitUntilAvailable();
      await call();
      expect(proxy.accepted).toBe(2);
    },
  );

  it('is of the wrong type when the key holds something else, and the connection stays', async () => {
    await servers.ask('SADD', 'set', 'member');
    await servers.ask('SET', 'text', 'abc');
    const calls = [
      () => connection.execute('lpush', (client) => client.lpush('set', 'x')),
      () => connection.execute('incr', (client) => client.incr('text')),
    ];
    for (const call of calls) expect((await failureOf(call)).error).toBeInstanceOf(WrongTypeError);
    expect(proxy.accepted).toBe(1);
  });

  it('shows nothing of what was sent', async () => {
    await servers.ask('CONFIG', 'SET', 'maxmemory', '1');
    await servers.ask('SADD', 'set', 'member');
    const calls = [
      set('a', 'hunter2'),
      () => connection.execute('lpush', (client) => client.lpush('set', 'hunter2')),
      () => connection.execute('auth', (client) => client.call('AUTH', 'hunter2')),
      () => connection.execute('nonsense', (client) => client.call('HUNTER2', 'hunter2')),
    ];
    for (const { error } of await Promise.all(calls.map(failureOf))) {
      expect(inspect(error, { depth: 10, showHidden: true })).not.toMatch(/hunter2/i);
    }
  });
});
