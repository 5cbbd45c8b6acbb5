import type { Logger } from '@nestjs/common';
import { errorKind } from '../common/error-kind.ts';
import { InvalidOptionsError, isStoreFailure, isStoreUnavailableError, SerializationError } from '../common/errors.ts';
import type { KeySpace } from '../common/keys.ts';
import { aFunction, type RulesOf } from '../common/option-rules.ts';
import { readOptions } from '../common/read-options.ts';
import type { MessageBus } from './message-bus.interface.ts';
import { Resync, type ResyncListener } from './resync.ts';

/** Messages over this size are refused by `publish` and dropped on arrival. */
const MAX_MESSAGE_BYTES = 1024 ** 2;

export type MessageCallback = (message: unknown) => void | Promise<void>;

export interface SubscribeOptions {
  /**
   * Called when messages on this channel may have been missed: after the server was away or the connection was lost,
   * here or in a process that published meanwhile. What the messages keep up to date is to be read again then. Never
   * called in memory mode.
   */
  readonly onResync?: ResyncListener;
}

const SUBSCRIBE_RULES = { onResync: aFunction<ResyncListener>() } satisfies RulesOf<SubscribeOptions>;

/** The application's own channels: JSON messages, named by its prefix and version like its keys. */
export class PubSub {
  private readonly resync: Resync;

  constructor(
    private readonly bus: MessageBus,
    private readonly keys: KeySpace,
    private readonly logger: Pick<Logger, 'warn'>,
    isAvailable: () => boolean = () => true,
  ) {
    this.resync = new Resync(bus, keys.internal('resync'), isAvailable);
  }

  /** The server is used again after an outage. */
  readonly recovered = (): void => this.resync.endGap();

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
      this.resync.settle();
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      this.resync.missed(fullChannel);
      // At most once: what may have been sent is not delivered here as well.
      if (isStoreUnavailableError(error)) this.bus.deliver(fullChannel, text);
    }
  }

  /** Resolves when subscribed. A callback that throws is logged and disturbs nobody. */
  async subscribe(
    channel: string,
    callback: MessageCallback,
    options: SubscribeOptions = {},
  ): Promise<() => Promise<void>> {
    const fullChannel = this.keys.full(channel);
    const { onResync } = checked(callback, options);
    const end = await this.bus.subscribe(fullChannel, (payload) => void this.deliver(channel, payload, callback));
    if (onResync === undefined) return end;
    const stop = await this.resync.add(fullChannel, () => this.call(channel, onResync));
    return () => {
      stop();
      return end();
    };
  }

  private async deliver(channel: string, payload: Buffer, callback: MessageCallback): Promise<void> {
    const message = fromJson(payload);
    if (message !== undefined) await this.call(channel, () => callback(message.value));
    else this.logger.warn(`Dropped a message on ${named(channel)}: not JSON, or over 1 MB`);
  }

  private async call(channel: string, subscriber: () => void | Promise<void>): Promise<void> {
    try {
      await subscriber();
    } catch (error) {
      this.logger.warn(`A subscriber of ${named(channel)} failed: ${errorKind(error)}`);
    }
  }
}

/** Callers without types may hand over anything, and would hear of it with the first message. @throws InvalidOptionsError */
function checked(callback: MessageCallback, options: SubscribeOptions): SubscribeOptions {
  const faults: string[] = [];
  readOptions({ callback }, { callback: aFunction<MessageCallback>() }, faults);
  const read = readOptions(options, SUBSCRIBE_RULES, faults);
  if (faults.length > 0) throw new InvalidOptionsError('Wrong subscription', faults);
  return read;
}

const named = (channel: string): string => JSON.stringify(channel.slice(0, 120));

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
