import { within } from '../common/within.ts';
import type { Rendered } from './response-store.ts';

/** How long a request waits for the one that makes its response. */
const WAIT_MS = 5_000;

/** How a render that was asked for ended, for those who wait for it. */
type Result = Rendered | undefined;

/**
 * A request that has asked to make a response: it is told when it is its turn, and may have given up by then. Between
 * the two stands a lease, for which other processes may have to be waited for.
 */
export class ResponseTurn {
  /** Resolves when it is this request's turn. */
  private readonly begun: Promise<'mine'>;
  private begin!: (turn: 'mine') => void;
  private settle!: (result: Result | Promise<Result>) => void;
  private readonly result: Promise<Result>;
  private isDeclined = false;

  constructor() {
    this.begun = new Promise((resolve) => (this.begin = resolve));
    this.result = new Promise((resolve) => (this.settle = resolve));
  }

  /** Called by the store: the request may render now, and everybody waits for what comes of it. */
  take(): Promise<Result> {
    if (this.isDeclined) return Promise.resolve(undefined);
    this.begin('mine');
    return this.result;
  }

  /** What comes first: the request's turn, the response of another one, or the end of its patience. */
  async outcome<T>(loading: Promise<T>): Promise<T | 'mine' | 'late'> {
    const outcome = await within<T | 'mine', 'late'>(Promise.race([this.begun, loading]), WAIT_MS, 'late');
    if (outcome !== 'mine') this.isDeclined = true;
    return outcome;
  }

  /** What came of it; a rejection is a refresh that failed. */
  done(result: Result | Promise<Result>): void {
    this.settle(result);
  }
}
