import type { Cluster, Redis } from 'ioredis';
import { placeWithin, slotOf } from './key-slot.ts';
import { isCluster, type RedisClient } from './redis.client.ts';
import { reasonOf } from './redis.outcome.ts';
import { reconnectDelayMs } from './redis.reconnect.ts';
import type { RedisShard } from './redis.shard.ts';
import type { Shard } from './availability.types.ts';

/** What a shard is made from: which keys it answers for, and what leads to it. */
export interface ShardSeat {
  /** Told apart by number: 1, 2, 3 …; undefined for the only one. */
  readonly number: number | undefined;
  readonly keys: Shard;
  readonly node: () => RedisClient | undefined;
}

export type SlotRange = readonly [first: number, last: number];

/** The primaries of a server, and which keys each of them answers for. */
export interface Shards {
  readonly all: readonly RedisShard[];
  /** Undefined when nobody answers for that key, or it is not known who. */
  of(key: string): RedisShard | undefined;
  /** The slots of a shard of a cluster. */
  slotsOf(shard: RedisShard): readonly SlotRange[];
  /** Has what is connected by now found out about. */
  start(): void;
  close(): void;
}

type ShardFactory = (seat: ShardSeat) => RedisShard;

/** Shards that are as many as the server has primaries. @param onChange told when there are others, or other slots */
export const shardsOf = (client: RedisClient, create: ShardFactory, onChange: () => void): Shards =>
  isCluster(client) ? new ClusterShards(client, create, onChange) : new OneShard(client, create);

class OneShard implements Shards {
  readonly all: readonly [RedisShard];

  constructor(
    private readonly client: Redis,
    create: ShardFactory,
  ) {
    const keys: Shard = { isAvailable: true, place: '', holds: () => true };
    const shard = create({ number: undefined, keys, node: () => client });
    this.all = [shard];
    client.on('error', this.#onError).on('ready', this.#onReady).on('close', this.#onClose);
  }

  of(): RedisShard {
    return this.all[0];
  }

  slotsOf(): readonly SlotRange[] {
    return [];
  }

  start(): void {
    if (this.client.status === 'ready') this.#onReady();
  }

  close(): void {
    this.client.off('error', this.#onError).off('ready', this.#onReady).off('close', this.#onClose);
  }

  readonly #onError = (error: unknown): void => this.all[0].failed(reasonOf(error));
  readonly #onReady = (): void => this.all[0].connected();
  readonly #onClose = (): void => this.all[0].lost();
}

interface Seat extends ShardSeat {
  readonly number: number;
  /** `host:port` of the primary, as ioredis names it. */
  address: string;
  slots: readonly number[];
  place: string;
  /** The connection that it was last known to answer on. */
  connected: Redis | undefined;
}

/**
 * The shards of a cluster. A shard is its slots: when a replica takes over, or slots move in a group, the same shard
 * has another primary, so that its state and its breaker stay what they are. As long as one is away, the cluster is asked
 * again and again who answers for its slots.
 */
class ClusterShards implements Shards {
  all: readonly RedisShard[] = [];
  readonly #seats = new Map<RedisShard, Seat>();
  #bySlot: readonly (RedisShard | undefined)[] = [];
  readonly #watched = new WeakSet<Redis>();
  #search: NodeJS.Timeout | undefined;
  #searches = 0;
  #isClosed = false;

  constructor(
    private readonly cluster: Cluster,
    private readonly create: ShardFactory,
    private readonly onChange: () => void,
  ) {
    cluster.on('refresh', this.#sync).on('ready', this.#sync).on('+node', this.#watch);
    for (const node of cluster.nodes()) this.#watch(node);
  }

  of(key: string): RedisShard | undefined {
    return this.#bySlot[slotOf(key)];
  }

  slotsOf(shard: RedisShard): readonly SlotRange[] {
    const ranges: [number, number][] = [];
    for (const slot of this.#seats.get(shard)?.slots ?? []) {
      const last = ranges.at(-1);
      if (last?.[1] === slot - 1) last[1] = slot;
      else ranges.push([slot, slot]);
    }
    return ranges;
  }

  start(): void {
    if (this.cluster.status === 'ready') this.#sync();
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#search);
    this.cluster.off('refresh', this.#sync).off('ready', this.#sync).off('+node', this.#watch);
  }

  /** The map of slots was read: whoever answers for them now. */
  readonly #sync = (): void => {
    const slotsBy = primariesBySlots(this.cluster);
    const vacant = new Map([...this.#seats].filter(([, { address }]) => !slotsBy.has(address)));
    const bySlot: (RedisShard | undefined)[] = [];
    for (const [address, slots] of slotsBy) {
      const shard = this.#at(address) ?? this.#successor(slots, vacant) ?? this.#add();
      vacant.delete(shard);
      const own = new Set(slots);
      Object.assign(this.#seats.get(shard) ?? {}, {
        address,
        slots,
        place: placeWithin((slot) => own.has(slot), slots[0] ?? 0),
      });
      for (const slot of slots) bySlot[slot] = shard;
    }
    for (const [shard] of vacant) {
      shard.availability.close();
      this.#seats.delete(shard);
    }
    this.#bySlot = bySlot;
    this.all = [...this.#seats.keys()];
    for (const shard of this.all) this.#connect(shard);
    this.onChange();
    this.#searchWhileAway();
  };

  #at(address: string): RedisShard | undefined {
    for (const [shard, seat] of this.#seats) if (seat.address === address) return shard;
    return undefined;
  }

  /** The shard whose primary has lost these slots. */
  #successor(slots: readonly number[], vacant: ReadonlyMap<RedisShard, Seat>): RedisShard | undefined {
    const before = slots.map((slot) => this.#bySlot[slot]).find((shard) => shard !== undefined && vacant.has(shard));
    return before;
  }

  #add(): RedisShard {
    const numbers = new Set([...this.#seats.values()].map(({ number }) => number));
    let number = 1;
    while (numbers.has(number)) number += 1;
    const seat: Seat = {
      number,
      ...{ address: '', slots: [], place: '', connected: undefined },
      node: () => this.#nodeAt(seat.address),
      keys: {
        isAvailable: true,
        get place() {
          return seat.place;
        },
        holds: (key) => this.of(key) === shard,
      },
    };
    const shard = this.create(seat);
    this.#seats.set(shard, seat);
    shard.availability.onChange(({ to }) => {
      if (to === 'degraded') this.#searchWhileAway();
    });
    return shard;
  }

  /**
   * Connects to it as soon as it is known: ioredis would wait for its first command, and refuse the next ones. Not
   * before it has found the cluster to be ready, for which it asks any node that is not just being connected to.
   */
  #connect(shard: RedisShard): void {
    if (this.cluster.status !== 'ready') return;
    const node = shard.node as Redis | undefined;
    if (node?.status === 'wait') node.connect().catch(() => undefined);
    if (node?.status === 'ready') this.#connected(shard, node);
  }

  #connected(shard: RedisShard, node: Redis): void {
    const seat = this.#seats.get(shard);
    if (seat === undefined || seat.connected === node || this.cluster.status !== 'ready') return;
    seat.connected = node;
    shard.connected();
  }

  readonly #watch = (node: Redis): void => {
    if (this.#watched.has(node)) return;
    this.#watched.add(node);
    const withShard = (act: (shard: RedisShard) => void) => {
      const shard = this.#isClosed ? undefined : this.#at(addressOf(node));
      const current = shard?.node;
      // A connection that was replaced has nothing more to say.
      if (shard !== undefined && (current === undefined || current === node)) act(shard);
    };
    node.on('error', (error) => withShard((shard) => shard.failed(reasonOf(error))));
    node.on('ready', () => withShard((shard) => this.#connected(shard, node)));
    node.on('close', () =>
      withShard((shard) => {
        const seat = this.#seats.get(shard);
        if (seat !== undefined) seat.connected = undefined;
        shard.lost();
        this.#searchWhileAway();
      }),
    );
  };

  /** Whoever answers for the slots of a lost shard next is found, also its own primary that comes back. */
  #searchWhileAway(): void {
    if (this.all.every(({ availability }) => availability.state === 'healthy')) this.#searches = 0;
    else if (this.#search === undefined && !this.#isClosed) {
      this.#searches += 1;
      this.#search = setTimeout(
        () => {
          this.#search = undefined;
          if (this.cluster.status === 'ready') this.cluster.refreshSlotsCache(() => this.#searchWhileAway());
        },
        reconnectDelayMs(this.#searches + 1),
      ).unref();
    }
  }

  #nodeAt(address: string): Redis | undefined {
    return this.cluster.nodes().find((node) => addressOf(node) === address);
  }
}

const addressOf = ({ options: { host, port } }: Redis): string => `${host}:${port}`;

function primariesBySlots({ slots }: Cluster): ReadonlyMap<string, readonly number[]> {
  const primaries = new Map<string, number[]>();
  slots.forEach(([primary], slot) => {
    if (primary === undefined) return;
    const known = primaries.get(primary);
    if (known === undefined) primaries.set(primary, [slot]);
    else known.push(slot);
  });
  return primaries;
}
