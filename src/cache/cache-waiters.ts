import { Injectable } from '@nestjs/common';
import { PassingMap } from '../common/passing-map.ts';
import { within } from '../common/within.ts';
import type { CacheEntry } from './cache-entry.ts';

/** Word that a key was filled or given up; with the entry when it was small enough to travel along. */
export interface Wake {
  readonly entry?: CacheEntry | undefined;
}

/** A place in the list of those who wait for a key; it has to be left, whatever happened. */
export interface Waiter {
  /** The word that came, or undefined after `ms` without one. */
  within(ms: number): Promise<Wake | undefined>;
  leave(): void;
}

/** Those in this process who wait for keys that other processes compute: at most one per key and flight. */
@Injectable()
export class CacheWaiters {
  private readonly waiting = new PassingMap<Set<(wake: Wake) => void>>();

  /** Enters the list before the server is asked, so that no word in between is missed. */
  expect(key: string): Waiter {
    let arrive!: (wake: Wake) => void;
    const arrival = new Promise<Wake>((resolve) => (arrive = resolve));
    const those = this.waiting.get(key) ?? new Set();
    if (those.add(arrive).size === 1) this.waiting.set(key, those);
    return {
      within: (ms) => within(arrival, ms, undefined),
      leave: () => {
        those.delete(arrive);
        if (those.size === 0 && this.waiting.get(key) === those) this.waiting.delete(key);
      },
    };
  }

  wake(key: string, entry?: CacheEntry): void {
    const those = this.waiting.get(key);
    if (those === undefined) return;
    for (const arrive of those) arrive({ entry });
  }

  wakeMatching(matches: (key: string) => boolean): void {
    for (const [key] of this.waiting) if (matches(key)) this.wake(key);
  }
}
