import { setTimeout as sleep } from 'node:timers/promises';
import { StoreUnavailableError, WrongTypeError } from '../../src/common/errors.ts';
import type { RedisConnection } from '../../src/redis/redis.connection.ts';
import { defineScript } from '../../src/redis/redis.script.ts';
import { Connections } from '../support/connections.ts';
import { startSingleNodeCluster, startStandalone, type TestServers } from '../support/servers.ts';

const APPEND = defineScript({
  name: 'test.append',
  args: ['text'],
  body: `redis.call('APPEND', key, text) return redis.call('GET', key)`,
  reply: (raw) => String(raw),
});
const STORE = defineScript({
  name: 'test.store',
  args: ['text'],
  body: `return redis.call('SET', key, text)`,
  reply: String,
});
/** Answers the argument, or nothing at all, which Lua says with nil. */
const ECHO = defineScript({
  name: 'test.echo',
  args: ['text'],
  body: `if text == 'nothing' then return nil end return text`,
  reply: (raw) => raw?.toString(),
});
/** Appends with what all calls of one trip share. */
const SIGN = defineScript({
  name: 'test.sign',
  shared: ['sign'],
  args: ['name'],
  body: `redis.call('APPEND', key, sign .. name) return redis.call('GET', key)`,
  reply: (raw) => String(raw),
});
const COUNT = defineScript({ name: 'test.count', body: `return redis.call('INCR', key)`, reply: Number });

const connections = new Connections();

/** How often the server was asked to run a command since `CONFIG RESETSTAT`, calls inside scripts included. */
async function callsOf(servers: TestServers, command: string): Promise<number> {
  const [, calls = '0'] =
    new RegExp(`cmdstat_${command}:calls=(\\d+)`).exec(await servers.ask('INFO', 'commandstats')) ?? [];
  return Number(calls);
}

const numbered = (count: number, prefix = 'key') => Array.from({ length: count }, (_, index) => `${prefix}:${index}`);

describe('a connection to one server', () => {
  let servers: TestServers;
  let connection: RedisConnection;

  beforeAll(async () => {
    servers = await startStandalone();
  });
  beforeEach(async () => {
    await servers.ask('FLUSHALL');
    connection = await connections.open(servers.port);
    await servers.ask('CONFIG', 'RESETSTAT');
  });
  afterEach(connections.close);
  afterAll(() => servers.stop());

  it('reads a lone key at the end of the current callback', async () => {
    await servers.ask('SET', 'a', 'value');
    await servers.ask('CONFIG', 'RESETSTAT');
    expect(await connection.get('a')).toEqual(Buffer.from('value'));
    expect(await callsOf(servers, 'mget')).toBe(1);
  });

  it('reads the keys of one turn with one MGET, each key once, and gives everybody the right value', async () => {
    const keys = numbered(60);
    await Promise.all(keys.map((key) => connection.run(STORE, key, `value of ${key}`)));
    const wanted = [...keys, ...keys, 'absent'];
    const values = await Promise.all(wanted.map((key) => connection.get(key)));
    expect(values.map((value) => value?.toString())).toEqual([
      ...wanted.slice(0, -1).map((key) => `value of ${key}`),
      undefined,
    ]);
    expect(await callsOf(servers, 'mget')).toBe(1);
    expect(await servers.ask('INFO', 'stats')).toContain('keyspace_hits:60\r\nkeyspace_misses:1\r\n');
    expect(await callsOf(servers, 'get')).toBe(0);
  });

  it('collects what callers ask for after the same reply', async () => {
    const chains = numbered(50).map(async (key) => {
      for (let step = 0; step < 4; step += 1) await connection.get(`${key}:${step}`);
    });
    await Promise.all(chains);
    expect(await callsOf(servers, 'mget')).toBe(4);
  });

  it('keeps reads made during a turn in which another batch is in flight together', async () => {
    const first = connection.get('first');
    await sleep(0);
    const others = [connection.get('a'), Promise.resolve().then(() => connection.get('b'))];
    await Promise.all([first, ...others]);
    expect(await callsOf(servers, 'mget')).toBe(2);
  });

  it('sends at most 128 keys in a batch', async () => {
    await Promise.all(numbered(300).map((key) => connection.get(key)));
    expect(await callsOf(servers, 'mget')).toBe(3);
  });

  it('does not let a batch of large arguments grow without bound', async () => {
    const large = 'x'.repeat(512 * 1024);
    await Promise.all(numbered(4).map((key) => connection.run(STORE, key, large)));
    expect((await callsOf(servers, 'evalsha')) + (await callsOf(servers, 'eval'))).toBeGreaterThanOrEqual(2);
  });

  it('runs the calls of one script in one turn as one EVALSHA, in the order they were made', async () => {
    await connection.run(APPEND, 'other', 'x');
    await servers.ask('CONFIG', 'RESETSTAT');
    const texts = await Promise.all(['a', 'b', 'c', 'd'].map((letter) => connection.run(APPEND, 'same', letter)));
    expect(texts).toEqual(['a', 'ab', 'abc', 'abcd']);
    expect(await callsOf(servers, 'evalsha')).toBe(1);
    expect(await callsOf(servers, 'eval')).toBe(0);
  });

  it('sends what calls share once, and calls that share something else by themselves', async () => {
    await connection.run(SIGN, 'other', 'x', 'y');
    await servers.ask('CONFIG', 'RESETSTAT');
    const calls = [
      ['+', 'a'],
      ['-', 'b'],
      ['+', 'c'],
    ] as const;
    const texts = await Promise.all(calls.map(([sign, name]) => connection.run(SIGN, name, sign, name)));
    expect(texts).toEqual(['+a', '-b', '+c']);
    expect(await callsOf(servers, 'evalsha')).toBe(2);
  });

  it('keeps the order of what is asked for one key, whatever the script', async () => {
    const texts = await Promise.all([
      connection.run(SIGN, 'same', '+', 'a'),
      connection.run(SIGN, 'same', '-', 'b'),
      connection.run(SIGN, 'same', '+', 'c'),
      connection.run(APPEND, 'same', 'd'),
      connection.run(SIGN, 'same', '+', 'e'),
    ]);
    expect(texts.at(-1)).toBe('+a-b+cd+e');
  });

  it('gives each call its own reply, also when the script answers nothing to some', async () => {
    const replies = await Promise.all(
      ['nothing', 'a', 'nothing', 'b'].map((text) => connection.run(ECHO, 'key', text)),
    );
    expect(replies).toEqual([undefined, 'a', undefined, 'b']);
  });

  it('carries arguments and replies as bytes', async () => {
    const bytes = Buffer.from([0, 13, 10, 255, 128]);
    await Promise.all([connection.run(STORE, 'a', bytes), connection.run(STORE, 'b', 7)]);
    expect(await Promise.all([connection.get('a'), connection.get('b')])).toEqual([bytes, Buffer.from('7')]);
  });

  it('refuses a call with a wrong number of arguments instead of shifting those of its neighbours', async () => {
    const neighbour = connection.run(STORE, 'a', 'x');
    await expect(connection.run(STORE, 'b')).rejects.toThrow('test.store takes 1 arguments, not 0');
    await neighbour;
    expect(await connection.get('a')).toEqual(Buffer.from('x'));
  });

  it('fails only the call whose key fails', async () => {
    await servers.ask('SADD', 'set', 'member');
    const calls = ['a', 'set', 'b'].map((key) => connection.run(APPEND, key, 'x'));
    const outcomes = await Promise.allSettled(calls);
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    await expect(calls[1]).rejects.toBeInstanceOf(WrongTypeError);
  });

  it('runs a script for many keys of one call together with others, and answers in the order of the keys', async () => {
    await connection.run(SIGN, 'other', '+', 'x');
    await servers.ask('CONFIG', 'RESETSTAT');
    const keys = numbered(20);
    const [signed, single] = await Promise.all([
      connection.runAll(SIGN, keys, ['+', ...keys]),
      connection.run(SIGN, 'alone', '+', 'a'),
    ]);
    expect(signed).toEqual(keys.map((key) => `+${key}`));
    expect(single).toBe('+a');
    expect(await callsOf(servers, 'evalsha')).toBe(1);
  });

  it('splits a call that is too long or too large for one trip', async () => {
    const keys = numbered(300);
    expect(await connection.runAll(ECHO, keys, keys)).toEqual(keys);
    await servers.ask('CONFIG', 'RESETSTAT');
    expect(await connection.runAll(ECHO, keys, keys)).toEqual(keys);
    expect(await callsOf(servers, 'evalsha')).toBe(4);
    const large = numbered(4).map((key) => key + 'x'.repeat(512 * 1024));
    expect(await connection.runAll(ECHO, numbered(4), large)).toEqual(large);
    expect(await callsOf(servers, 'evalsha')).toBeGreaterThanOrEqual(6);
  });

  it('fails a call when one of its keys fails, and gives its neighbours their own replies', async () => {
    await servers.ask('SADD', 'set', 'member');
    const calls = [
      connection.run(APPEND, 'a', 'first'),
      connection.runAll(APPEND, ['b', 'set', 'c'], ['x', 'y', 'z']),
      connection.runAll(APPEND, ['d', 'e'], ['fourth', 'fifth']),
    ] as const;
    await expect(calls[1]).rejects.toBeInstanceOf(WrongTypeError);
    expect(await calls[0]).toBe('first');
    expect(await calls[2]).toEqual(['fourth', 'fifth']);
    expect(await connection.get('c')).toEqual(Buffer.from('z'));
  });

  it('refuses many keys with a wrong number of arguments', async () => {
    await expect(connection.runAll(SIGN, ['a', 'b'], ['+', 'a'])).rejects.toThrow('test.sign takes 3 arguments, not 2');
  });

  it('reads a key of another type as absent, alone and among others', async () => {
    await servers.ask('SADD', 'set', 'member');
    expect(await connection.get('set')).toBeNull();
    expect(await Promise.all([connection.get('set'), connection.get('other')])).toEqual([null, null]);
  });

  it('loses no call when the server forgets its scripts all the time', async () => {
    const over = new AbortController();
    const flushing = (async () => {
      while (!over.signal.aborted) await servers.ask('SCRIPT', 'FLUSH');
    })();
    for (let round = 1; round <= 40; round += 1) {
      const counts = await Promise.all(numbered(20).map((key) => connection.run(COUNT, key)));
      expect(counts).toEqual(Array(20).fill(round));
    }
    over.abort();
    await flushing;
  });

  it('says of a broken script that it failed, and shows neither its arguments nor its text', async () => {
    const broken = defineScript({ name: 'test.broken', args: ['text'], body: `return nothing.here`, reply: String });
    const failure = await connection.run(broken, 'a', 'hunter2').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(StoreUnavailableError);
    expect(String(failure)).not.toContain('hunter2');
  });
});

describe('a connection to a server that refuses several keys in one command', () => {
  let servers: TestServers;

  beforeAll(async () => {
    servers = await startSingleNodeCluster();
  });
  afterEach(connections.close);
  afterAll(() => servers.stop());

  it('finds out when it connects, and sends one command per key', async () => {
    const connection = await connections.open(servers.port);
    expect(connection.isOneNode).toBe(false);
    await servers.ask('CONFIG', 'RESETSTAT');
    const keys = numbered(50);
    expect(await Promise.all(keys.map((key) => connection.run(STORE, key, key)))).toEqual(Array(50).fill('OK'));
    expect(await Promise.all(keys.map((key) => connection.get(key)))).toEqual(keys.map((key) => Buffer.from(key)));
    expect(await connection.runAll(SIGN, keys, ['+', ...keys])).toEqual(keys.map((key) => `${key}+${key}`));
    expect(await callsOf(servers, 'mget')).toBe(50);
    expect(await servers.ask('INFO', 'errorstats')).not.toContain('CROSSSLOT');
  });

  it('falls back without losing anything when it finds out only later', async () => {
    // An ACL that hides the keys of the probe: it is answered NOPERM and says nothing.
    await servers.ask('ACL', 'SETUSER', 'limited', 'on', '>pass', '~key:*', '+@all');
    const connection = await connections.open({
      kind: 'standalone',
      nodes: [{ host: '127.0.0.1', port: servers.port }],
      username: 'limited',
      password: 'pass',
    });
    expect(connection.isOneNode).toBe(true);
    const keys = numbered(30, 'key:late');
    const [counts, values] = await Promise.all([
      Promise.all(keys.map((key) => connection.run(COUNT, key))),
      Promise.all(keys.map((key) => connection.get(`${key}:absent`))),
    ]);
    expect(counts).toEqual(Array(30).fill(1));
    expect(values).toEqual(Array(30).fill(null));
    expect(connection.isOneNode).toBe(false);
  });
});
