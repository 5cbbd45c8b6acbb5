/** The payload is shared by all listeners of a channel, which must not change it. */
export type MessageListener = (payload: Buffer) => void | Promise<void>;

/** Hears of a listener that threw or rejected, when all others have the message; and of a channel that is refused. */
export type ListenerFailure = (channel: string, error: unknown) => void;

/**
 * Carries small messages between the processes of one application. Delivery is at most once and in the order of
 * publication per publisher; a listener that throws does not disturb the others.
 */
export interface MessageBus {
  /** Whether messages of other processes are arriving, as far as this side can tell. */
  readonly isConnected: boolean;
  /** Sends to every subscriber, this process included. @throws StoreUnavailableError, OutcomeUnknownError */
  publish(channel: string, payload: string | Buffer): Promise<void>;
  /** Gives a message to the subscribers of this process only. */
  deliver(channel: string, payload: string | Buffer): void;
  /**
   * Resolves when the subscription is in force; the result ends it. While the server is away it resolves as well: the
   * subscription then begins when the server is back, and `onReconnect` tells when.
   */
  subscribe(channel: string, listener: MessageListener): Promise<() => Promise<void>>;
  /**
   * Calls `listener` each time the subscriptions are in force again after they were not: messages may have been
   * missed in between. The result stops it.
   */
  onReconnect(listener: () => void): () => void;
  /** Opens the connection anew, because it looks alive and delivers nothing. */
  restart(): void;
  close(): Promise<void>;
}
