export type MessageListener = (payload: Buffer) => void;

/**
 * Carries small messages between the processes of one application. Delivery is at most once and in the order of
 * publication per publisher; a listener that throws does not disturb the others.
 */
export interface MessageBus {
  /** Whether messages of other processes are arriving, as far as this side can tell. */
  readonly isConnected: boolean;
  /** Sends to every subscriber, this process included. @throws StoreUnavailableError, OutcomeUnknownError */
  publish(channel: string, payload: string | Buffer): Promise<void>;
  /** Resolves when the subscription is in force; the result ends it. */
  subscribe(channel: string, listener: MessageListener): Promise<() => Promise<void>>;
  close(): Promise<void>;
}
