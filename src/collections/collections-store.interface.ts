/** Sets, hashes, lists and counters under full keys. A collection that becomes empty is gone, as on a server. */
export interface CollectionsStore {
  /** Adds members and says how many are new. */
  sadd(key: string, members: readonly string[]): Awaitable<number>;
  srem(key: string, members: readonly string[]): Awaitable<number>;
  sismember(key: string, member: string): Awaitable<boolean>;
  smembers(key: string): Awaitable<string[]>;
  scard(key: string): Awaitable<number>;

  /** 1 when the field is new, 0 when its value was replaced. */
  hset(key: string, field: string, value: string): Awaitable<number>;
  hget(key: string, field: string): Awaitable<string | undefined>;
  hgetall(key: string): Awaitable<Record<string, string>>;
  hdel(key: string, fields: readonly string[]): Awaitable<number>;

  /** Pushes one value after the other and says how long the list is now; `lpush` leaves the last one first. */
  lpush(key: string, values: readonly string[]): Awaitable<number>;
  rpush(key: string, values: readonly string[]): Awaitable<number>;
  lpop(key: string): Awaitable<string | undefined>;
  rpop(key: string): Awaitable<string | undefined>;
  /** Both ends included; negative positions count from the end. */
  lrange(key: string, start: number, stop: number): Awaitable<string[]>;

  /** Adds to a counter that starts at 0. One whose result would not be a safe integer is refused and unchanged. */
  incrby(key: string, amount: number): Awaitable<number>;
}

/** What a store in this process answers at once and a server later. */
type Awaitable<T> = T | Promise<T>;
