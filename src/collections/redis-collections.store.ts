import type { RedisConnection } from '../redis/redis.connection.ts';
import type { CollectionsStore } from './collections-store.interface.ts';
import { INCRBY_SCRIPT } from './collections.lua.ts';
import { counterOverflow } from './counter.ts';

/** Collections on the server. Each call is one command on one key, sent at most once. */
export class RedisCollectionsStore implements CollectionsStore {
  constructor(private readonly connection: RedisConnection) {}

  sadd(key: string, members: readonly string[]): Promise<number> {
    return this.connection.execute('collections.sadd', (client) => client.sadd(key, [...members]), key);
  }

  srem(key: string, members: readonly string[]): Promise<number> {
    return this.connection.execute('collections.srem', (client) => client.srem(key, [...members]), key);
  }

  async sismember(key: string, member: string): Promise<boolean> {
    return (
      (await this.connection.execute('collections.sismember', (client) => client.sismember(key, member), key)) === 1
    );
  }

  smembers(key: string): Promise<string[]> {
    return this.connection.execute('collections.smembers', (client) => client.smembers(key), key);
  }

  scard(key: string): Promise<number> {
    return this.connection.execute('collections.scard', (client) => client.scard(key), key);
  }

  hset(key: string, field: string, value: string): Promise<number> {
    return this.connection.execute('collections.hset', (client) => client.hset(key, field, value), key);
  }

  async hget(key: string, field: string): Promise<string | undefined> {
    return (await this.connection.execute('collections.hget', (client) => client.hget(key, field), key)) ?? undefined;
  }

  hgetall(key: string): Promise<Record<string, string>> {
    return this.connection.execute('collections.hgetall', (client) => client.hgetall(key), key);
  }

  hdel(key: string, fields: readonly string[]): Promise<number> {
    return this.connection.execute('collections.hdel', (client) => client.hdel(key, ...fields), key);
  }

  lpush(key: string, values: readonly string[]): Promise<number> {
    return this.connection.execute('collections.lpush', (client) => client.lpush(key, ...values), key);
  }

  rpush(key: string, values: readonly string[]): Promise<number> {
    return this.connection.execute('collections.rpush', (client) => client.rpush(key, ...values), key);
  }

  async lpop(key: string): Promise<string | undefined> {
    return (await this.connection.execute('collections.lpop', (client) => client.lpop(key), key)) ?? undefined;
  }

  async rpop(key: string): Promise<string | undefined> {
    return (await this.connection.execute('collections.rpop', (client) => client.rpop(key), key)) ?? undefined;
  }

  lrange(key: string, start: number, stop: number): Promise<string[]> {
    return this.connection.execute('collections.lrange', (client) => client.lrange(key, start, stop), key);
  }

  async incrby(key: string, amount: number): Promise<number> {
    const result = await this.connection.run(INCRBY_SCRIPT, key, amount);
    if (result === null) throw counterOverflow(amount);
    return result;
  }
}
