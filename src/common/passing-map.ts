/** Removed keys are kept until there are so many of them, and as many as there are others. */
const MAX_GONE = 128;

/**
 * A map whose entries come and go all the time, such as what is under way. It is for the garbage collector: while
 * entries of a `Map` are deleted, V8 moves it to new tables, and each old table leads to the next one. Once a table
 * has grown old, all the later ones, with all they have ever held, survive every young collection. With 64 reads
 * under way that takes a third of the time. Here a removed entry leaves its key behind, and now and then a new `Map`
 * takes over, which no old table knows of.
 */
export class PassingMap<V extends object> {
  #entries = new Map<string, V | undefined>();
  #gone = 0;

  get size(): number {
    return this.#entries.size - this.#gone;
  }

  get(key: string): V | undefined {
    return this.#entries.get(key);
  }

  set(key: string, value: V): void {
    const isNew = this.#entries.get(key) === undefined;
    const { size } = this.#entries;
    this.#entries.set(key, value);
    if (isNew && this.#entries.size === size) this.#gone--;
  }

  delete(key: string): boolean {
    if (this.#entries.get(key) === undefined) return false;
    this.#entries.set(key, undefined);
    if (++this.#gone >= MAX_GONE && this.#gone * 2 >= this.#entries.size) this.#renew();
    return true;
  }

  clear(): void {
    this.#entries = new Map();
    this.#gone = 0;
  }

  /** Entries may be deleted meanwhile; one that is deleted by somebody else may still be shown. */
  *[Symbol.iterator](): IterableIterator<[key: string, value: V]> {
    for (const [key, value] of this.#entries) if (value !== undefined) yield [key, value];
  }

  *values(): IterableIterator<V> {
    for (const [, value] of this) yield value;
  }

  #renew(): void {
    const left = [...this];
    this.clear();
    for (const [key, value] of left) this.#entries.set(key, value);
  }
}
