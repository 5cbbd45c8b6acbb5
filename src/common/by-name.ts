import { shownText } from './shown-text.ts';

/** Names over this number are counted together. */
const MAX_NAMES = 100;
const OTHER = 'other';

/**
 * Counters per name, for names from a closed set. A set that turns out to be open, because names are made of data, costs
 * a bounded number of counters: from the hundredth name on they share one, called `other`.
 */
export class ByName<C> {
  readonly #counters = new Map<string, C>();

  constructor(
    private readonly make: (name: string) => C,
    private readonly maxNames = MAX_NAMES,
  ) {}

  /** Keep what this returns: it stays the same, and counting is then an addition. */
  of(name: string | undefined): C {
    const shown = shownText(name ?? OTHER);
    const known = this.#counters.get(shown);
    if (known !== undefined) return known;
    if (this.#counters.size >= this.maxNames && shown !== OTHER) return this.of(OTHER);
    const made = this.make(shown);
    this.#counters.set(shown, made);
    return made;
  }

  get(name: string): C | undefined {
    return this.#counters.get(name);
  }

  values(): IterableIterator<C> {
    return this.#counters.values();
  }

  [Symbol.iterator](): IterableIterator<[name: string, counters: C]> {
    return this.#counters.entries();
  }
}
