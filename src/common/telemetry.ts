import { ByName } from './by-name.ts';
import { isOutcomeUnknownError, isStoreUnavailableError } from './errors.ts';
import { Histogram } from './histogram.ts';

/** Calls of one operation on the store. */
export class OperationCounts {
  readonly durations = new Histogram();
  /** The server was not asked: `StoreUnavailableError`. */
  unavailable = 0;
  /** The server was asked and did not answer in time: `OutcomeUnknownError`. */
  unknown = 0;
  /** The server has no memory left for it, and answers everything else. */
  oom = 0;
  /** Anything else that was refused. */
  refused = 0;

  /** @param error what it failed of, unless it succeeded */
  ended(ms: number, error?: unknown): void {
    this.durations.record(ms);
    if (error === undefined) return;
    if (isStoreUnavailableError(error)) this[error.answer === 'OOM' ? 'oom' : 'unavailable']++;
    else if (isOutcomeUnknownError(error)) this.unknown++;
    else this.refused++;
  }
}

/** What came of asking for one lock. */
export class LockCounts {
  acquired = 0;
  /** Taken without the server, in this process only. */
  degraded = 0;
  conflict = 0;
  unavailable = 0;
  lost = 0;
}

/** What one policy decided. `degraded` ones are among the others, too. */
export class PolicyCounts {
  allowed = 0;
  refused = 0;
  degraded = 0;
}

class Count {
  n = 0;
}

/**
 * What happened beside the reads of the cache, in plain integers. The features count, whoever shows the figures reads
 * them: so counting is an addition, and no feature knows who looks.
 *
 * Names come from what the application declares (caches, locks, policies, upstreams), never from keys or users.
 */
export class Telemetry {
  /** Trips to the store, by operation. */
  readonly operations = new ByName(() => new OperationCounts());
  readonly locks = new ByName(() => new LockCounts());
  /** Told what came of asking for a lock, where somebody traces. */
  onLock: ((outcome: keyof LockCounts, name: string | undefined) => void) | undefined;
  readonly lockWaits = new Histogram();
  readonly lockHolds = new Histogram(HOLD_BOUNDS_MS);
  /** Locks that this process holds now. */
  locksHeld = 0;
  readonly policies = new ByName(() => new PolicyCounts());
  /** Responses that were not kept, by the reason. */
  readonly notStored = new ByName(() => new Count());
  /** Idempotent requests, by what came of them. */
  readonly idempotency = new ByName(() => new Count());
  /** Requests that were forwarded, by upstream and then by status code. */
  readonly upstreams = new ByName(() => new ByName(() => new Count()));
  /** Entries that left this process's memory for lack of room. */
  evictions = 0;
  /** How often the server was reached again after it was lost. */
  reconnects = 0;
}

/** Work under a lock may take minutes. */
const HOLD_BOUNDS_MS: readonly number[] = [1, 10, 100, 500, 1_000, 5_000, 30_000, 60_000, 300_000];
