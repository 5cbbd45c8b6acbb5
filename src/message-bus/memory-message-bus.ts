import { ChannelListeners } from './channel-listeners.ts';
import type { ListenerFailure, MessageBus, MessageListener } from './message-bus.interface.ts';

/** Delivers within this process, which is the whole application in memory mode; nothing is ever missed. */
export class MemoryMessageBus implements MessageBus {
  readonly isConnected = true;
  private readonly listeners: ChannelListeners;

  constructor(onFailure?: ListenerFailure) {
    this.listeners = new ChannelListeners(onFailure);
  }

  publish(channel: string, payload: string | Buffer): Promise<void> {
    this.deliver(channel, payload);
    return Promise.resolve();
  }

  deliver(channel: string, payload: string | Buffer): void {
    const copy = Buffer.from(payload);
    // Not before the publisher goes on, as with a server in between: nobody gets used to the opposite.
    void Promise.resolve().then(() => this.listeners.deliver(channel, copy));
  }

  subscribe(channel: string, listener: MessageListener): Promise<() => Promise<void>> {
    const remove = this.listeners.add(channel, listener);
    return Promise.resolve(() => {
      remove();
      return Promise.resolve();
    });
  }

  onReconnect(): () => void {
    return () => undefined;
  }

  restart(): void {
    // There is no connection.
  }

  close(): Promise<void> {
    this.listeners.clear();
    return Promise.resolve();
  }
}
