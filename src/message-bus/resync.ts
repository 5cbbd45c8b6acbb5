import { randomUUID } from 'node:crypto';
import type { MessageBus } from './message-bus.interface.ts';

/** More channels than this, and all subscribers are told. */
const MAX_CHANNELS = 1_000;
const MAX_NOTICE_BYTES = 1024 ** 2;

export type ResyncListener = () => void | Promise<void>;

/**
 * Tells subscribers that messages may have been missed: here, because this process was cut off, or elsewhere, because
 * what another process published has reached only its own subscribers.
 */
export class Resync {
  private readonly id = randomUUID();
  private readonly listeners = new Map<string, Set<{ readonly listener: ResyncListener }>>();
  /** Channels on which something was published that others have not heard; null: too many to remember. */
  private unheard: Set<string> | null = new Set();
  private hasGap = false;
  private isListening = false;

  /** @param isAvailable whether the server is used: a gap has ended when it is, and the subscriptions are in force */
  constructor(
    private readonly bus: MessageBus,
    private readonly channel: string,
    private readonly isAvailable: () => boolean,
  ) {
    bus.onReconnect(() => this.endGap());
  }

  /** The result removes the listener. */
  async add(channel: string, listener: ResyncListener): Promise<() => void> {
    const entry = { listener };
    const entries = this.listeners.get(channel) ?? new Set();
    this.listeners.set(channel, entries.add(entry));
    if (!this.isListening) {
      this.isListening = true;
      await this.bus.subscribe(this.channel, (payload) => this.heed(payload));
    }
    return () => {
      entries.delete(entry);
      if (entries.size === 0 && this.listeners.get(channel) === entries) this.listeners.delete(channel);
    };
  }

  /** A message on this channel has not reached the subscribers of other processes, or nobody knows. */
  missed(channel: string): void {
    if ((this.unheard?.size ?? 0) < MAX_CHANNELS) this.unheard?.add(channel);
    else this.unheard = null;
  }

  /** The server, or the subscriptions, are there again. Both have to be, and then it is told once. */
  endGap(): void {
    this.hasGap = true;
    if (!this.bus.isConnected || !this.isAvailable()) return;
    this.hasGap = false;
    this.tell(null);
    void this.tellOthers();
  }

  /** Something was published just now: what was not heard before can be told. */
  settle(): void {
    if (!this.hasGap && this.unheard?.size !== 0) void this.tellOthers();
  }

  private async tellOthers(): Promise<void> {
    const { unheard } = this;
    if (unheard?.size === 0) return;
    this.unheard = new Set();
    const channels = unheard && [...unheard];
    try {
      await this.bus.publish(this.channel, JSON.stringify({ from: this.id, channels }));
    } catch {
      // Told with the next occasion.
      for (const channel of channels ?? []) this.missed(channel);
      if (channels === null) this.unheard = null;
    }
  }

  private heed(payload: Buffer): void {
    const notice = payload.length > MAX_NOTICE_BYTES ? undefined : read(payload);
    if (notice !== undefined && notice.from !== this.id) this.tell(notice.channels);
  }

  private tell(channels: readonly string[] | null): void {
    for (const channel of channels ?? this.listeners.keys()) {
      for (const { listener } of [...(this.listeners.get(channel) ?? [])]) void listener();
    }
  }
}

function read(payload: Buffer): { readonly from: unknown; readonly channels: readonly string[] | null } | undefined {
  try {
    const { from, channels } = JSON.parse(payload.toString()) as Partial<Record<string, unknown>>;
    if (channels !== null && !Array.isArray(channels)) return undefined;
    return { from, channels: channels as readonly string[] | null };
  } catch {
    return undefined;
  }
}
