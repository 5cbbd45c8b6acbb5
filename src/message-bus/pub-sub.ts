import type { Logger } from '@nestjs/common';
import { SerializationError } from '../common/errors.ts';
import type { KeySpace } from '../common/keys.ts';
import type { MessageBus } from './message-bus.interface.ts';

/** Messages over this size are refused by `publish` and dropped on arrival. */
const MAX_MESSAGE_BYTES = 1024 ** 2;

export type MessageCallback = (message: unknown) => void | Promise<void>;

/** The application's own channels: JSON messages, named by its prefix and version like its keys. */
export class PubSub {
  constructor(
    private readonly bus: MessageBus,
    private readonly keys: KeySpace,
    private readonly logger: Pick<Logger, 'warn'>,
  ) {}

  /** @throws SerializationError for what JSON cannot say, or over 1 MB */
  async publish(channel: string, message: unknown): Promise<void> {
    const fullChannel = this.keys.full(channel);
    const text = toJson(message);
    if (Buffer.byteLength(text) > MAX_MESSAGE_BYTES) throw new SerializationError('A message must not exceed 1 MB');
    await this.bus.publish(fullChannel, text);
  }

  /** Resolves when subscribed. A callback that throws is logged and disturbs nobody. */
  subscribe(channel: string, callback: MessageCallback): Promise<() => Promise<void>> {
    return this.bus.subscribe(this.keys.full(channel), (payload) => void this.deliver(channel, payload, callback));
  }

  private async deliver(channel: string, payload: Buffer, callback: MessageCallback): Promise<void> {
    const name = JSON.stringify(channel.slice(0, 120));
    if (payload.length > MAX_MESSAGE_BYTES) return this.logger.warn(`Dropped a message on ${name}: over 1 MB`);
    let message: unknown;
    try {
      message = JSON.parse(payload.toString());
    } catch {
      return this.logger.warn(`Dropped a message on ${name}: not JSON`);
    }
    try {
      await callback(message);
    } catch (error) {
      // Only the kind of error: its text may hold the message.
      this.logger.warn(`A subscriber of ${name} failed: ${error instanceof Error ? error.name : typeof error}`);
    }
  }
}

function toJson(message: unknown): string {
  try {
    const text = JSON.stringify(message) as string | undefined;
    if (text !== undefined) return text;
  } catch {
    // A cycle or a BigInt: said below, without the value.
  }
  throw new SerializationError('A message must be something that JSON can say');
}
