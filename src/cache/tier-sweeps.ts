import { setImmediate as nextTurn } from 'node:timers/promises';
import type { BoundedMap } from '../common/bounded-map.ts';
import type { HeldEntry } from './held-entry.ts';

/** Keys that are being dropped: until all were looked at, an entry that was checked before is looked at when it is read. */
interface Sweep {
  readonly matches: (key: string) => boolean;
  /** `CacheTags.moment` when it began. */
  readonly since: number;
}

/** Others have their turn after this long of a sweep, which looks at the time once per so many entries. */
const SLICE_MS = 2;
const SLICE_ENTRIES = 128;

/** Drops what matches from a memory that may be large: in force at once, done in slices. */
export class TierSweeps {
  private readonly sweeps = new Set<Sweep>();

  constructor(private readonly held: BoundedMap<HeldEntry>) {}

  /** Whether an entry is to be dropped by a sweep that has not come to it yet. */
  concern(key: string, held: HeldEntry): boolean {
    for (const sweep of this.sweeps) if (isConcerned(key, held, sweep)) return true;
    return false;
  }

  /**
   * @param since `CacheTags.moment` from which on entries were looked at
   * @param onDrop told of each entry. Resolves to how many matched.
   */
  async drop(
    matches: (key: string) => boolean,
    since: number,
    onDrop?: (key: string, held: HeldEntry) => void,
  ): Promise<number> {
    const sweep: Sweep = { matches, since };
    this.sweeps.add(sweep);
    let [dropped, left, sliceEndsAt] = [0, this.held.size, performance.now() + SLICE_MS];
    for (const [key, held] of this.held) {
      if (left-- === 0) break;
      if (isConcerned(key, held, sweep)) {
        onDrop?.(key, held);
        dropped += Number(this.held.delete(key));
      }
      if (left % SLICE_ENTRIES !== 0 || performance.now() < sliceEndsAt) continue;
      await nextTurn();
      sliceEndsAt = performance.now() + SLICE_MS;
    }
    this.sweeps.delete(sweep);
    return dropped;
  }
}

const isConcerned = (key: string, { checkedAt }: HeldEntry, { since, matches }: Sweep): boolean =>
  checkedAt < since && matches(key);
