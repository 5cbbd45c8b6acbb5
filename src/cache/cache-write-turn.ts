import type { Encoded } from '../common/codec.ts';
import { FULL_BYTES, MAX_KEYS } from '../redis/script-calls.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';

export interface Item {
  readonly key: string;
  readonly value: unknown;
}

/** An item ready to be stored. */
export interface Ready extends Item {
  readonly encoded: Encoded;
}

/** Values that are written together, under the same options. */
export interface Writes {
  /** All keys, also of values that are not to be stored. */
  readonly keys: readonly string[];
  readonly ready: readonly Ready[];
  readonly stampNames: readonly string[];
  readonly options: ResolvedReadOptions;
}

interface Gathering extends Writes {
  readonly keys: string[];
  readonly ready: Ready[];
  /** Of all payloads. */
  bytes: number;
  readonly done: Promise<void>;
  readonly begin: () => void;
}

/**
 * Gathers the writes of one turn of the event loop: those under the same options become one change, with one script
 * call, one look at the epoch and one notice to the other processes.
 */
export class WriteTurn {
  private gatherings: Gathering[] = [];

  constructor(private readonly store: (writes: Writes) => Promise<void>) {}

  /** Resolves when the writes are stored, with whatever they were gathered with. */
  add(writes: Writes): Promise<void> {
    // The last value of a key wins, also under other options.
    const last = this.gatherings.findLast((other) => isAlike(other, writes) || concerns(other, writes));
    const gathering = last !== undefined && isAlike(last, writes) ? last : this.gather(writes);
    gathering.keys.push(...writes.keys);
    for (const item of writes.ready) {
      gathering.ready.push(item);
      gathering.bytes += item.encoded.bytes;
    }
    if (gathering.keys.length >= MAX_KEYS || gathering.bytes >= FULL_BYTES) this.flush();
    return gathering.done;
  }

  /** Begins with what was gathered, so that whatever is asked for next comes after it. */
  flush(): void {
    const { gatherings } = this;
    if (gatherings.length === 0) return;
    this.gatherings = [];
    for (const { begin } of gatherings) begin();
  }

  private gather({ stampNames, options }: Writes): Gathering {
    if (this.gatherings.length === 0) process.nextTick(() => this.flush());
    const keys: string[] = [];
    const ready: Ready[] = [];
    let begin = (): void => undefined;
    // `store` is called by `begin` itself, not a microtask later: what comes next must not overtake it.
    const done = new Promise<void>((resolve, reject) => {
      begin = () => void this.store({ keys, ready, stampNames, options }).then(resolve, reject);
    });
    const gathering = { keys, ready, stampNames, options, bytes: 0, done, begin };
    this.gatherings.push(gathering);
    return gathering;
  }
}

const concerns = (some: Writes, other: Writes): boolean => other.keys.some((key) => some.keys.includes(key));

function isAlike(some: Writes, other: Writes): boolean {
  if (some.options !== other.options) return false;
  const { stampNames: names } = some;
  return (
    names === other.stampNames ||
    (names.length === other.stampNames.length && names.every((name, i) => name === other.stampNames[i]))
  );
}
