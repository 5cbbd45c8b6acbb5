import { EventEmitter } from 'node:events';
import type { Cluster } from 'ioredis';
import type { AvailabilityState } from './availability.types.ts';
import { slotOf } from './key-slot.ts';
import type { RedisShard } from './redis.shard.ts';
import { shardsOf, type Shards, type ShardSeat } from './redis.shards.ts';

const SLOTS = 16_384;
const PRIMARIES = ['10.0.0.1:6379', '10.0.0.2:6379', '10.0.0.3:6379'] as const;
const REPLICA = '10.0.0.6:6379';

/** A connection to one node, as far as it matters here. */
class Node extends EventEmitter {
  status: 'wait' | 'connecting' | 'ready' | 'end' = 'wait';
  readonly connect = jest.fn(() => ((this.status = 'connecting'), Promise.resolve()));
  readonly options: { readonly host: string; readonly port: number };

  constructor(readonly address: string) {
    super();
    const [host = '', port] = address.split(':');
    this.options = { host, port: Number(port) };
  }

  becomeReady(): void {
    this.status = 'ready';
    this.emit('ready');
  }

  end(): void {
    this.status = 'end';
    this.emit('close');
  }
}

/** What ioredis knows of a cluster: its connections, and who answers for which slot. */
class Client extends EventEmitter {
  readonly isCluster = true;
  status = 'connecting';
  slots: string[][] = [];
  readonly known: Node[] = [];
  readonly refreshSlotsCache = jest.fn((done: () => void) => done());
  readonly nodes = () => this.known;

  /** Slots up to each number belong to its address; the map was read. */
  readAs(...ranges: readonly (readonly [upTo: number, address: string])[]): void {
    this.slots = Array.from({ length: SLOTS }, (_, slot) => {
      const [, address] = ranges.find(([upTo]) => slot <= upTo) ?? [];
      return address === undefined ? [] : [address];
    });
    this.emit('refresh');
  }

  meet(...addresses: readonly string[]): void {
    for (const address of addresses) {
      const node = new Node(address);
      this.known.push(node);
      this.emit('+node', node);
    }
  }

  node(address: string): Node {
    return this.known.find((node) => node.address === address)!;
  }

  becomeReady(): void {
    this.status = 'ready';
    this.emit('ready');
  }
}

const THIRDS = [
  [5_460, PRIMARIES[0]],
  [10_922, PRIMARIES[1]],
  [16_383, PRIMARIES[2]],
] as const;

/** A shard that writes down what it is told. */
class Shard {
  readonly told: string[] = [];
  readonly availability = new State(() => this.told.push('closed'));

  constructor(readonly seat: ShardSeat) {}

  get node() {
    return this.seat.node();
  }

  connected(): void {
    this.told.push('connected');
    this.availability.become('healthy');
  }

  lost(): void {
    this.told.push('lost');
    this.availability.become('degraded');
  }

  failed(reason: string): void {
    this.told.push(`failed: ${reason}`);
  }
}

class State {
  state: AvailabilityState = 'degraded';
  private readonly listeners: ((change: { readonly to: AvailabilityState }) => void)[] = [];

  constructor(readonly close: () => void) {}

  onChange(listener: (change: { readonly to: AvailabilityState }) => void): void {
    this.listeners.push(listener);
  }

  become(to: AvailabilityState): void {
    this.state = to;
    for (const listener of this.listeners) listener({ to });
  }
}

let cluster: Client;
let shards: Shards;
let onChange: jest.Mock;

const all = (): readonly Shard[] => shards.all as unknown as readonly Shard[];
const numbers = () => all().map(({ seat }) => seat.number);
const keyIn = (first: number, last: number): string => {
  const isThere = (key: number) => slotOf(`key:${key}`) >= first && slotOf(`key:${key}`) <= last;
  return `key:${Array.from({ length: 1_000 }, (_, key) => key).find(isThere)}`;
};
const KEYS = [keyIn(0, 5_460), keyIn(5_461, 10_922), keyIn(10_923, 16_383)] as const;
const shardsOfKeys = () => KEYS.map((key) => shards.of(key) as unknown as Shard | undefined);

beforeEach(() => {
  jest.useFakeTimers();
  cluster = new Client();
  onChange = jest.fn();
  const create = (seat: ShardSeat) => new Shard(seat) as unknown as RedisShard;
  shards = shardsOf(cluster as unknown as Cluster, create, onChange);
});
afterEach(() => {
  shards.close();
  jest.useRealTimers();
});

/** Three primaries, all connected and in use. */
function open(): void {
  cluster.meet(...PRIMARIES, REPLICA);
  cluster.readAs(...THIRDS);
  cluster.becomeReady();
  for (const address of PRIMARIES) cluster.node(address).becomeReady();
  onChange.mockClear();
}

describe('the shards of a cluster', () => {
  it('are as many as it has primaries, each with the slots that it answers for', () => {
    expect([all(), shardsOfKeys()]).toEqual([[], [undefined, undefined, undefined]]);
    open();
    expect(numbers()).toEqual([1, 2, 3]);
    expect(shardsOfKeys()).toEqual(all());
    expect(shards.all.map((shard) => shards.slotsOf(shard))).toEqual([
      [[0, 5_460]],
      [[5_461, 10_922]],
      [[10_923, 16_383]],
    ]);
    for (const [index, { seat }] of all().entries()) {
      expect(KEYS.map((key) => seat.keys.holds(key))).toEqual(KEYS.map((_, other) => other === index));
      expect(shards.of(`${seat.keys.place}:epoch`)).toBe(shards.all[index]);
    }
  });

  it('are connected to as soon as the cluster can be used, and told once', () => {
    cluster.meet(...PRIMARIES);
    cluster.readAs(...THIRDS);
    expect(cluster.known.every(({ connect }) => connect.mock.calls.length === 0)).toBe(true);
    cluster.node(PRIMARIES[0]).becomeReady();
    expect(all().map(({ told }) => told)).toEqual([[], [], []]);
    cluster.becomeReady();
    expect(cluster.known.map(({ connect }) => connect.mock.calls.length)).toEqual([0, 1, 1]);
    for (const address of PRIMARIES) cluster.node(address).becomeReady();
    cluster.readAs(...THIRDS);
    expect(all().map(({ told }) => told)).toEqual([['connected'], ['connected'], ['connected']]);
  });

  it('are those of a client that was connected before', () => {
    cluster.meet(...PRIMARIES);
    cluster.readAs(...THIRDS);
    for (const node of cluster.known) node.status = 'ready';
    cluster.status = 'ready';
    shards.start();
    expect(all().map(({ told }) => told)).toEqual([['connected'], ['connected'], ['connected']]);
  });

  it('tell when there are others, or other slots', () => {
    open();
    cluster.readAs(...THIRDS);
    expect(onChange).toHaveBeenCalledTimes(1);
  });

  it('stay the same when a replica takes over: only the connection is another', () => {
    open();
    const before = all();
    cluster.node(PRIMARIES[2]).end();
    expect(before[2]?.told).toEqual(['connected', 'lost']);
    cluster.readAs(THIRDS[0], THIRDS[1], [16_383, REPLICA]);
    expect(all()).toEqual(before);
    expect(numbers()).toEqual([1, 2, 3]);
    expect(before[2]?.node).toBe(cluster.node(REPLICA));
    cluster.node(REPLICA).becomeReady();
    expect(before[2]?.told).toEqual(['connected', 'lost', 'connected']);
    // The old primary has nothing more to say about it.
    cluster.node(PRIMARIES[2]).becomeReady();
    cluster.node(PRIMARIES[2]).end();
    expect(before[2]?.told).toHaveLength(3);
    expect(before.slice(0, 2).map(({ told }) => told)).toEqual([['connected'], ['connected']]);
  });

  it('stay the same when slots move from one to another', () => {
    open();
    const before = all();
    cluster.readAs([6_000, PRIMARIES[0]], THIRDS[1], THIRDS[2]);
    expect(all()).toEqual(before);
    expect(shards.slotsOf(shards.all[0]!)).toEqual([[0, 6_000]]);
    expect(shards.of(keyIn(5_461, 6_000))).toBe(shards.all[0]);
  });

  it('become more when a primary joins, and fewer when one has no slots left', () => {
    open();
    const [first, second, third] = all();
    cluster.meet('10.0.0.4:6379');
    cluster.readAs(...THIRDS.slice(0, 2), [12_000, PRIMARIES[2]], [16_383, '10.0.0.4:6379']);
    expect(numbers()).toEqual([1, 2, 3, 4]);
    expect(all().slice(0, 3)).toEqual([first, second, third]);
    cluster.readAs([10_922, PRIMARIES[0]], [12_000, PRIMARIES[2]], [16_383, '10.0.0.4:6379']);
    expect(second?.told).toEqual(['connected', 'closed']);
    expect(numbers()).toEqual([1, 3, 4]);
    expect(shards.slotsOf(second as unknown as RedisShard)).toEqual([]);
    // The number is free again.
    cluster.readAs([5_460, PRIMARIES[0]], [10_922, PRIMARIES[1]], [12_000, PRIMARIES[2]], [16_383, '10.0.0.4:6379']);
    expect(numbers()).toEqual([1, 3, 4, 2]);
  });

  it('answer for no key of a slot that nobody has', () => {
    open();
    cluster.readAs(THIRDS[0], [10_922, ''], THIRDS[2]);
    cluster.slots = cluster.slots.map((owners) => (owners[0] === '' ? [] : owners));
    cluster.emit('refresh');
    expect(shardsOfKeys().map((shard) => shard?.seat.number)).toEqual([1, undefined, 3]);
  });

  it('hear why a connection to them failed, and that they are connected again', () => {
    open();
    const [first] = all();
    const node = cluster.node(PRIMARIES[0]);
    node.emit('error', Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' }));
    node.end();
    node.becomeReady();
    expect(first?.told).toEqual(['connected', 'failed: ECONNREFUSED', 'lost', 'connected']);
  });

  it('do not hear of a connection that was replaced by another one', () => {
    open();
    const old = cluster.node(PRIMARIES[0]);
    cluster.known.splice(0, 1);
    cluster.meet(PRIMARIES[0]);
    old.end();
    expect(all()[0]?.told).toEqual(['connected']);
    cluster.node(PRIMARIES[0]).becomeReady();
    expect(all()[0]?.told).toEqual(['connected', 'connected']);
  });
});

describe('the search for who answers next', () => {
  const searches = () => cluster.refreshSlotsCache.mock.calls.length;

  it('goes on, not in a hurry, as long as one of them is away', () => {
    open();
    jest.advanceTimersByTime(10_000);
    expect(searches()).toBeLessThanOrEqual(1);
    cluster.refreshSlotsCache.mockClear();
    cluster.node(PRIMARIES[1]).end();
    jest.advanceTimersByTime(100);
    expect(searches()).toBe(1);
    jest.advanceTimersByTime(10_000);
    expect(searches()).toBeGreaterThanOrEqual(10);
    expect(searches()).toBeLessThanOrEqual(25);
    cluster.node(PRIMARIES[1]).becomeReady();
    jest.advanceTimersByTime(1_000);
    const before = searches();
    jest.advanceTimersByTime(10_000);
    expect(searches()).toBe(before);
    // The next time it is in a hurry again.
    cluster.node(PRIMARIES[0]).end();
    jest.advanceTimersByTime(100);
    expect(searches()).toBe(before + 1);
  });

  it('begins for one that does not answer, although it is connected', () => {
    open();
    jest.advanceTimersByTime(10_000);
    cluster.refreshSlotsCache.mockClear();
    all()[0]?.availability.become('degraded');
    jest.advanceTimersByTime(100);
    expect(searches()).toBe(1);
  });

  it('asks nobody while no node is connected', () => {
    open();
    cluster.status = 'close';
    cluster.node(PRIMARIES[0]).end();
    jest.advanceTimersByTime(5_000);
    expect(searches()).toBe(0);
  });

  it('ends with the connection', () => {
    open();
    cluster.node(PRIMARIES[1]).end();
    shards.close();
    expect(jest.getTimerCount()).toBe(0);
    cluster.readAs(...THIRDS);
    all()[0]?.availability.become('degraded');
    cluster.node(PRIMARIES[0]).end();
    expect(jest.getTimerCount()).toBe(0);
    expect(all()[0]?.told).toEqual(['connected']);
    expect(onChange).not.toHaveBeenCalled();
  });
});
