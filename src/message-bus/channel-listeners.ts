import type { ListenerFailure, MessageListener } from './message-bus.interface.ts';

/** Who listens to which channel in this process. */
export class ChannelListeners {
  private readonly channels = new Map<string, Set<{ readonly listener: MessageListener }>>();

  constructor(private readonly onFailure: ListenerFailure = () => undefined) {}

  get names(): string[] {
    return [...this.channels.keys()];
  }

  has(channel: string): boolean {
    return this.channels.has(channel);
  }

  /** The result removes the listener; a listener added twice hears everything twice. */
  add(channel: string, listener: MessageListener): () => void {
    const entry = { listener };
    const entries = this.channels.get(channel) ?? new Set();
    this.channels.set(channel, entries.add(entry));
    return () => {
      entries.delete(entry);
      // The same set, or the channel was left and joined again meanwhile.
      if (entries.size === 0 && this.channels.get(channel) === entries) this.channels.delete(channel);
    };
  }

  deliver(channel: string, payload: Buffer): void {
    for (const { listener } of [...(this.channels.get(channel) ?? [])]) void this.tell(listener, channel, payload);
  }

  clear(): void {
    this.channels.clear();
  }

  /** Asynchronous, so that the rejection of a listener that is an async function is caught, too. */
  private async tell(listener: MessageListener, channel: string, payload: Buffer): Promise<void> {
    try {
      await listener(payload);
    } catch (error) {
      this.onFailure(channel, error);
    }
  }
}
