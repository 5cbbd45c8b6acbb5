/** How a read was answered. */
export type ReadOutcome = 'hit' | 'stale' | 'miss' | 'failure';

/** Where the answer lay: in this process, or behind it. */
export type AnsweredFrom = 'memory' | 'store';

/**
 * Shows what the cache does in the traces of the application. Names come from closed sets, never from keys or users.
 */
export interface Tracing {
  /** Runs a read of that cache in a span of its own. */
  read<R>(cache: string, run: () => Promise<R>): Promise<R>;
  /** Runs the factory of a read in a span of its own, to which belongs whatever it calls. */
  load<R>(cache: string, run: () => R | Promise<R>): Promise<R>;
  /** Says how the read that runs now was answered. */
  answered(outcome: ReadOutcome, from: AnsweredFrom): void;
  /** Notes what happened in whatever span is active. */
  event(name: string, attributes: Readonly<Record<string, string>>): void;
}
