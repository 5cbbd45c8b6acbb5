import { setTimeout as sleep } from 'node:timers/promises';
import { RedisMessageBus } from '../../src/message-bus/redis-message-bus.ts';
import { RedisConnection } from '../../src/redis/redis.connection.ts';
import { redisOptions } from './connections.ts';

// Opens what an application opens, closes it and then has nothing to do: it exits unless something was left behind.
const [port, act] = process.argv.slice(2);
const connection = new RedisConnection(redisOptions(Number(port), { bootBudgetMs: 500 }));
const bus = new RedisMessageBus(connection);

await connection.connect();
await bus.subscribe('channel', () => undefined);
if (act === 'use') await Promise.all([connection.get('a'), bus.publish('channel', 'message')]);
// Time for the test to break the connection.
else await sleep(500);

const start = performance.now();
await bus.close();
await connection.close();
process.send?.({ closedInMs: performance.now() - start });
// The channel to the test is the one handle that is not ours.
process.disconnect();
