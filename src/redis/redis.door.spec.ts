import { StoreUnavailableError } from '../common/errors.ts';
import type { RedisClient } from './redis.client.ts';
import { CommandDoor } from './redis.door.ts';
import type { RedisShard } from './redis.shard.ts';
import { ServerClock } from './server-clock.ts';

type State = 'healthy' | 'recovering' | 'degraded';

/** A shard that answers with its name. */
class Shard {
  state: State = 'healthy';
  readonly node: RedisClient;
  readonly link = {
    sendTo: <T>(client: RedisClient, _: string, command: (client: RedisClient) => Promise<T>) => command(client),
  };

  constructor(readonly name: string) {
    this.node = { name } as unknown as RedisClient;
  }

  refusal(opens: State): string | undefined {
    return this.state === 'healthy' || this.state === opens ? undefined : this.state;
  }
}

const CLIENT = { name: 'any', isCluster: true } as unknown as RedisClient;
const nameOf = (client: RedisClient) => Promise.resolve((client as unknown as { name: string }).name);

let shards: Shard[];
let isClosed: boolean;

function doorThat(opens: 'healthy' | 'recovering'): CommandDoor {
  const all = shards as unknown as readonly RedisShard[];
  return new CommandDoor({
    client: CLIENT,
    shards: {
      all,
      of: (key) => all[Number(key)],
      slotsOf: () => [],
      start: () => undefined,
      close: () => undefined,
    },
    traits: { takesSeveralKeys: false },
    clock: new ServerClock(),
    opens,
    isClosed: () => isClosed,
  });
}

beforeEach(() => {
  shards = ['first', 'second', 'third'].map((name) => new Shard(name));
  isClosed = false;
});

describe('a command about no key', () => {
  it('goes to one that answers, and always to the same', async () => {
    for (const lost of [0, 1, 2]) {
      for (const [index, shard] of shards.entries()) shard.state = index === lost ? 'degraded' : 'healthy';
      for (let times = 0; times < 20; times += 1) {
        const door = doorThat('healthy');
        const answers = await Promise.all([1, 2, 3, 4].map(() => door.execute('ping', nameOf)));
        expect(new Set(answers).size).toBe(1);
        expect(answers[0]).not.toBe(shards[lost]?.name);
      }
    }
  });

  it('goes to another one once that does not answer any more', async () => {
    const door = doorThat('healthy');
    const before = await door.execute('ping', nameOf);
    shards.find(({ name }) => name === before)!.state = 'degraded';
    expect(await door.execute('ping', nameOf)).not.toBe(before);
  });

  it('is refused when none of them answers', async () => {
    for (const shard of shards) shard.state = 'degraded';
    const door = doorThat('healthy');
    expect(door.isAvailable).toBe(false);
    await expect(door.execute('ping', nameOf)).rejects.toThrow('ping was not executed: degraded');
  });
});

describe('a command about a key', () => {
  it('is refused while its shard is away, whatever the others do', async () => {
    const door = doorThat('healthy');
    shards[1]!.state = 'degraded';
    expect(await door.execute('get', nameOf, '0')).toBe('any');
    await expect(door.execute('get', nameOf, '1')).rejects.toBeInstanceOf(StoreUnavailableError);
    await expect(door.execute('get', nameOf, '7')).rejects.toThrow('the server is not connected');
    expect(door.isAvailable).toBe(true);
  });
});

describe('a command for one shard', () => {
  it('goes to that one, and to nobody when it has left the cluster', async () => {
    const door = doorThat('healthy');
    const all = shards as unknown as readonly RedisShard[];
    expect(await Promise.all(all.map((shard) => door.executeOn(shard, 'scan', nameOf)))).toEqual([
      ...['first', 'second', 'third'],
    ]);
    const gone = new Shard('gone') as unknown as RedisShard;
    await expect(door.executeOn(gone, 'scan', nameOf)).rejects.toThrow('the server is not connected');
  });
});

describe('the doors', () => {
  it('differ in when they open', async () => {
    for (const shard of shards) shard.state = 'recovering';
    await expect(doorThat('healthy').execute('get', nameOf, '0')).rejects.toThrow('recovering');
    expect(await doorThat('recovering').execute('get', nameOf, '0')).toBe('any');
  });

  it('stay shut once the connection was closed', async () => {
    isClosed = true;
    for (const opens of ['healthy', 'recovering'] as const) {
      await expect(doorThat(opens).execute('get', nameOf, '0')).rejects.toBeInstanceOf(StoreUnavailableError);
    }
  });

  it('fail a scan while no shard is known, rather than finding nothing', async () => {
    shards = [];
    await expect(doorThat('healthy').scan('*')[Symbol.asyncIterator]().next()).rejects.toThrow('not connected');
  });
});
