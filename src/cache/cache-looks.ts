import { PassingMap } from '../common/passing-map.ts';
import type { Found } from './cache-entry.ts';

/** A read of the store that is under way, or has just ended. */
export class Reading {
  readonly startedAt = performance.now();
  isRecorded = false;

  constructor(readonly found: Promise<Found>) {}
}

/**
 * Which keys are being read: whoever asks for the same key meanwhile waits for the same reading.
 *
 * A reading can be *forgotten*: nobody joins it any more, and what it has found is not held. That is how a caller that
 * comes after an invalidation is kept from what was read before it.
 */
export class CacheLooks {
  private readonly byKey = new PassingMap<Reading>();

  get(key: string): Reading | undefined {
    return this.byKey.get(key);
  }

  start(key: string, reading: Reading): Reading {
    this.byKey.set(key, reading);
    return reading;
  }

  /** Takes a reading that has ended off the table; false when somebody else has, or it was forgotten. */
  land(key: string, reading: Reading): boolean {
    return this.byKey.get(key) === reading && this.byKey.delete(key);
  }

  forget(key: string): void {
    this.byKey.delete(key);
  }

  forgetMatching(matches: (key: string) => boolean): void {
    for (const [key] of this.byKey) if (matches(key)) this.byKey.delete(key);
  }

  forgetAll(): void {
    this.byKey.clear();
  }
}
