import type { RedisConnection } from '../redis/redis.connection.ts';
import { ChannelListeners } from './channel-listeners.ts';
import type { ListenerFailure, MessageBus, MessageListener } from './message-bus.interface.ts';
import { RedisSubscriber } from './redis-subscriber.ts';

/** Pub/sub of the server: one more connection carries all subscriptions of this process, from the first one on. */
export class RedisMessageBus implements MessageBus {
  private readonly listeners: ChannelListeners;
  private readonly reconnectListeners = new Set<{ readonly listener: () => void }>();
  private readonly subscriber: RedisSubscriber;

  constructor(
    private readonly connection: RedisConnection,
    onFailure: ListenerFailure = () => undefined,
  ) {
    this.listeners = new ChannelListeners(onFailure);
    this.subscriber = new RedisSubscriber(connection, {
      channels: () => this.listeners.names,
      onMessage: (channel, payload) => this.listeners.deliver(channel, payload),
      onRefusal: onFailure,
      onReconnect: () => this.tellReconnect(),
    });
  }

  get isConnected(): boolean {
    return this.subscriber.isConnected;
  }

  async publish(channel: string, payload: string | Buffer): Promise<void> {
    await this.connection.execute('publish', (client) => client.publish(channel, payload));
  }

  deliver(channel: string, payload: string | Buffer): void {
    this.listeners.deliver(channel, Buffer.from(payload));
  }

  async subscribe(channel: string, listener: MessageListener): Promise<() => Promise<void>> {
    const remove = this.listeners.add(channel, listener);
    try {
      await this.subscriber.join(channel);
    } catch (error) {
      remove();
      throw error;
    }
    return async () => {
      remove();
      if (!this.listeners.has(channel)) await this.subscriber.leave(channel);
    };
  }

  onReconnect(listener: () => void): () => void {
    const entry = { listener };
    this.reconnectListeners.add(entry);
    return () => void this.reconnectListeners.delete(entry);
  }

  restart(): void {
    this.subscriber.restart();
  }

  async close(): Promise<void> {
    this.listeners.clear();
    this.reconnectListeners.clear();
    await this.subscriber.close();
  }

  private tellReconnect(): void {
    for (const { listener } of [...this.reconnectListeners]) listener();
  }
}
