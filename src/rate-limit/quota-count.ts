import { FixedWindow } from './fixed-window.ts';
import { Gcra } from './gcra.ts';
import type { Algorithm, Quota } from './rate-limit-store.interface.ts';
import { SlidingWindow } from './sliding-window.ts';

/**
 * What one subject has spent of one quota. Times are whole microseconds since the epoch.
 *
 * `rate-limit.lua.ts` holds the same algorithms for the server; a test compares the two call by call.
 */
export interface QuotaCount {
  /** Brings the count to this time and answers with the units that count; all other methods are about this time. */
  at(nowUs: number, capacity: number): number;
  add(units: number): void;
  /** The latest units first, and at most what counts. */
  remove(units: number): void;
  /** Milliseconds until no more than `units` count; 0 when that is so now. */
  msUntil(units: number): number;
}

const COUNTS: Readonly<Record<Algorithm, (stepUs: number) => QuotaCount>> = {
  sliding: (stepUs) => new SlidingWindow(stepUs),
  fixed: (stepUs) => new FixedWindow(stepUs),
  gcra: (stepUs) => new Gcra(stepUs),
};

export const countFor = ({ algorithm, stepUs }: Quota): QuotaCount => COUNTS[algorithm](stepUs);
