import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
import { isStoreFailure } from '../common/errors.ts';
import type { RedisConnection } from '../redis/redis.connection.ts';
import type { KeyWatch, KeyWatchEvents } from './key-watch.interface.ts';
import { INVALIDATIONS, RedisSubscriber } from './redis-subscriber.ts';

/** After this long a connection that delivers nothing is given up for a new one. */
const DEAF_MS = 3_000;

export interface KeyWatchNames {
  /** Full keys that begin so are watched; none of them is the beginning of another. */
  readonly prefixes: readonly string[];
  /** Begins the names of the channels that carry proofs of life. */
  readonly beatChannel: string;
}

/**
 * Server-assisted coherence: `CLIENT TRACKING … BCAST` in a connection to each primary, which the server redirects to
 * that connection itself. Own writes are told like those of others: NOLOOP would hide what the application writes
 * through our client, too.
 *
 * A message that this process publishes comes back over each of these connections, behind every change told before it:
 * so a connection that is deaf, or leads to a server that was cut off from the others, is noticed.
 */
export class RedisKeyWatch implements KeyWatch {
  private readonly watches = new Map<string, PrimaryWatch>();
  private readonly channel: string;
  private events: KeyWatchEvents | undefined;

  constructor(
    private readonly connection: RedisConnection,
    private readonly names: KeyWatchNames,
  ) {
    this.channel = `${names.beatChannel}:${randomUUID()}`;
  }

  get heardMs(): number {
    if (this.watches.size === 0) return -Infinity;
    return Math.min(...[...this.watches.values()].map(({ heardMs }) => heardMs));
  }

  start(events: KeyWatchEvents): void {
    this.events = events;
    this.beat();
  }

  beat(): void {
    if (this.events === undefined) return;
    this.follow(this.events);
    const now = performance.now();
    for (const watch of this.watches.values()) watch.restartIfDeaf(now);
    this.connection
      .execute('publish', (client) => client.publish(this.channel, String(now)))
      .catch((error: unknown) => {
        // Silence is the answer to it.
        if (!isStoreFailure(error)) throw error;
      });
  }

  async close(): Promise<void> {
    this.events = undefined;
    const watches = [...this.watches.values()];
    this.watches.clear();
    await Promise.all(watches.map((watch) => watch.close()));
  }

  /** One watch per primary, also after a failover or when nodes join. */
  private follow(events: KeyWatchEvents): void {
    const primaries = new Set(this.connection.primaries);
    for (const [primary, watch] of this.watches) {
      if (primaries.has(primary)) continue;
      this.watches.delete(primary);
      void watch.close();
    }
    for (const primary of primaries) {
      if (this.watches.has(primary)) continue;
      this.watches.set(primary, this.watch(primary, events));
      events.onGap();
    }
  }

  private watch(primary: string, { onRefusal, ...events }: KeyWatchEvents): PrimaryWatch {
    const refused = (error: Error): void => {
      if (this.events === undefined) return;
      void this.close();
      onRefusal(error);
    };
    const { channel } = this;
    const { prefixes } = this.names;
    return new PrimaryWatch(
      { connection: this.connection, primary, prefixes, channel },
      { ...events, onRefusal: refused },
    );
  }
}

interface PrimaryWatchParts {
  readonly connection: RedisConnection;
  readonly primary: string;
  readonly prefixes: readonly string[];
  readonly channel: string;
}

/** The connection to one primary. */
class PrimaryWatch {
  private readonly subscriber: RedisSubscriber;
  private beatMs = -Infinity;
  private restartedMs = performance.now();

  constructor({ connection, primary, prefixes, channel }: PrimaryWatchParts, events: KeyWatchEvents) {
    const { onKeys, onFlush, onGap, onRefusal } = events;
    const subscriberEvents = {
      channels: () => [INVALIDATIONS, channel],
      prepare: (client: Redis) => track(client, prefixes),
      onMessage: (_: string, payload: Buffer) => (this.beatMs = Number(payload)),
      onInvalidation: (keys: readonly Buffer[] | null) => (keys === null ? onFlush() : onKeys(keys.map(String))),
      onRefusal: (_: string, error: Error) => onRefusal(error),
      onReconnect: () => {
        this.beatMs = -Infinity;
        onGap();
      },
    };
    this.subscriber = new RedisSubscriber(connection, subscriberEvents, primary);
    this.subscriber.open();
  }

  get heardMs(): number {
    return this.subscriber.isConnected ? this.beatMs : -Infinity;
  }

  /** It looks alive and delivers nothing. */
  restartIfDeaf(now: number): void {
    if (now - Math.max(this.beatMs, this.restartedMs) < DEAF_MS) return;
    this.restartedMs = now;
    this.subscriber.restart();
  }

  close(): Promise<void> {
    return this.subscriber.close();
  }
}

async function track(client: Redis, prefixes: readonly string[]): Promise<void> {
  const id = await client.client('ID');
  const each = prefixes.flatMap((prefix) => ['PREFIX', prefix]);
  await client.call('CLIENT', 'TRACKING', 'ON', 'REDIRECT', id, 'BCAST', ...each);
}
