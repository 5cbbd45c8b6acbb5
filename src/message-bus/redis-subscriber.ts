import type { Redis } from 'ioredis';
import { StoreUnavailableError } from '../common/errors.ts';
import { closeClient } from '../redis/redis.client.ts';
import type { RedisConnection } from '../redis/redis.connection.ts';
import { failureOf, isOutage } from '../redis/redis.outcome.ts';
import { reconnectDelayMs } from '../redis/redis.reconnect.ts';

const CLOSE_POLITELY_MS = 200;

/** The channel on which a server tells of changed keys (`CLIENT TRACKING`); what it carries is no text. */
export const INVALIDATIONS = '__redis__:invalidate';

export interface SubscriberEvents {
  /** The channels that are to be heard, asked for at each new connection. */
  readonly channels: () => readonly string[];
  readonly onMessage: (channel: string, payload: Buffer) => void;
  /** The server refuses to let us hear a channel. */
  readonly onRefusal: (channel: string, error: Error) => void;
  /** All channels are heard again after a gap. */
  readonly onReconnect: () => void;
  /** Prepares a new connection before it subscribes to anything. A refusal by the server is told as one of a channel. */
  readonly prepare?: (client: Redis) => Promise<unknown>;
  /** These keys were changed or have expired; null: all of them. */
  readonly onInvalidation?: (keys: readonly Buffer[] | null) => void;
}

/**
 * Keeps one connection in subscriber mode. It does so itself instead of leaving it to ioredis, which subscribes again
 * without waiting for the answers, and in a cluster does not tell that it has lost the node it listened to.
 */
export class RedisSubscriber {
  /** It holds the password: never shown. */
  #client: Redis | undefined;
  private attempt = 0;
  private nextAttempt: NodeJS.Timeout | undefined;
  /** Settles with the current attempt, whether it succeeded or not. */
  private attempted: Promise<void> = Promise.resolve();
  private isInForce = false;
  private hasGap = false;
  private isClosed = false;

  constructor(
    private readonly connection: RedisConnection,
    private readonly events: SubscriberEvents,
    /** Which of the connection's primaries to listen to; any node when left out. */
    private readonly primary?: string,
  ) {}

  get isConnected(): boolean {
    return this.isInForce;
  }

  /** Resolves when the channel is heard, or at once when the server is away. @throws StoreUnavailableError if refused */
  async join(channel: string): Promise<void> {
    if (this.isClosed) throw new StoreUnavailableError('subscribe', 'the message bus is closed');
    this.open();
    if (this.#client?.status !== 'ready' && this.connection.isAvailable) await this.attempted;
    // Said here even if it was said for all channels already: only so does the caller learn of a refusal.
    if (this.#client?.status === 'ready') await this.subscribe(this.#client, channel);
    if (this.#client?.status !== 'ready') this.hasGap = true;
  }

  async leave(channel: string): Promise<void> {
    const client = this.#client;
    if (client?.status !== 'ready') return;
    await client.unsubscribe(channel).catch(() => client.disconnect());
  }

  /** Its end leads to the next attempt. */
  restart(): void {
    this.#client?.disconnect();
  }

  async close(): Promise<void> {
    this.isClosed = true;
    clearTimeout(this.nextAttempt);
    if (this.#client !== undefined) await closeClient(this.#client, CLOSE_POLITELY_MS);
  }

  /** Connects, and again whenever the connection ends. */
  open(): void {
    if (this.#client !== undefined || this.nextAttempt !== undefined || this.isClosed) return;
    try {
      const client = this.connection.openSubscriber(this.primary);
      this.#client = client;
      this.attempted = new Promise((resolve) => {
        client.once('ready', () => void this.subscribeAll(client).then(resolve)).once('end', resolve);
      });
      client.once('end', () => this.openLater());
      client.on('messageBuffer', (channel: Buffer, payload: Buffer) => this.hear(channel.toString(), payload));
    } catch {
      this.openLater();
    }
  }

  private hear(channel: string, payload: unknown): void {
    const { onMessage, onInvalidation } = this.events;
    if (channel === INVALIDATIONS) onInvalidation?.(payload as readonly Buffer[] | null);
    else onMessage(channel, payload as Buffer);
  }

  private openLater(): void {
    this.#client = undefined;
    this.isInForce = false;
    this.hasGap = true;
    if (this.isClosed) return;
    this.attempt += 1;
    this.nextAttempt = setTimeout(() => {
      this.nextAttempt = undefined;
      this.open();
    }, reconnectDelayMs(this.attempt)).unref();
  }

  private async subscribeAll(client: Redis): Promise<void> {
    const refused = (channel: string) => (error: Error) => this.events.onRefusal(channel, error);
    await this.prepare(client).catch(refused(INVALIDATIONS));
    await Promise.all(this.events.channels().map((channel) => this.subscribe(client, channel).catch(refused(channel))));
    if (client.status !== 'ready') return;
    this.attempt = 0;
    this.isInForce = true;
    if (!this.hasGap) return;
    this.hasGap = false;
    this.events.onReconnect();
  }

  private prepare(client: Redis): Promise<void> {
    return this.ask(client, 'tracking', async () => this.events.prepare?.(client));
  }

  private subscribe(client: Redis, channel: string): Promise<void> {
    return this.ask(client, 'subscribe', () => client.subscribe(channel));
  }

  /** Without an answer the connection is of no use: its end leads to the next attempt. */
  private async ask(client: Redis, operation: string, act: () => Promise<unknown>): Promise<void> {
    try {
      await act();
    } catch (error) {
      if (!isOutage(error)) throw failureOf(operation, error);
      client.disconnect();
    }
  }
}
