import type { Logger } from '@nestjs/common';
import { isStoreFailure, isStoreUnavailableError, SerializationError } from '../common/errors.ts';
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

  /**
   * Sends to every subscriber; while the server is away, to those of this process.
   * @throws SerializationError for what JSON cannot say, or over 1 MB
   */
  async publish(channel: string, message: unknown): Promise<void> {
    const fullChannel = this.keys.full(channel);
    const text = toJson(message);
    if (Buffer.byteLength(text) > MAX_MESSAGE_BYTES) throw new SerializationError('A message must not exceed 1 MB');
    try {
      await this.bus.publish(fullChannel, text);
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      // At most once: what may have been sent is not delivered here as well.
      if (isStoreUnavailableError(error)) this.bus.deliver(fullChannel, text);
    }
  }

  /** Resolves when subscribed. A callback that throws is logged and disturbs nobody. */
  subscribe(channel: string, callback: MessageCallback): Promise<() => Promise<void>> {
    return this.bus.subscribe(this.keys.full(channel), (payload) => void this.deliver(channel, payload, callback));
  }

  private async deliver(channel: string, payload: Buffer, callback: MessageCallback): Promise<void> {
    const name = JSON.stringify(channel.slice(0, 120));
    const message = fromJson(payload);
    if (message === undefined) {
      this.logger.warn(`Dropped a message on ${name}: not JSON, or over 1 MB`);
      return;
    }
    try {
      await callback(message.value);
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

function fromJson(payload: Buffer): { readonly value: unknown } | undefined {
  if (payload.length > MAX_MESSAGE_BYTES) return undefined;
  try {
    return { value: JSON.parse(payload.toString()) as unknown };
  } catch {
    return undefined;
  }
}
