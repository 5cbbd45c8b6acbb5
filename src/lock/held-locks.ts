import type { LockHandle } from './lock.handle.ts';

/** How often locks that were taken since are looked at. */
const LOOK_MS = 50;

/**
 * The locks that this process holds. Most are given back long before one of them could end or has to be renewed: only
 * those that are older than a moment get a timer of their own.
 */
export class HeldLocks implements Iterable<LockHandle> {
  readonly #young = new Set<LockHandle>();
  readonly #watched = new Set<LockHandle>();
  #isLooking = false;

  get size(): number {
    return this.#young.size + this.#watched.size;
  }

  add(handle: LockHandle): void {
    if (handle.carefreeMs <= 2 * LOOK_MS) {
      this.#watch(handle);
      return;
    }
    this.#young.add(handle);
    if (this.#isLooking) return;
    this.#isLooking = true;
    setTimeout(() => this.#watchAll(), LOOK_MS).unref();
  }

  remove(handle: LockHandle): void {
    if (!this.#young.delete(handle)) this.#watched.delete(handle);
  }

  *[Symbol.iterator](): IterableIterator<LockHandle> {
    yield* this.#young;
    yield* this.#watched;
  }

  #watchAll(): void {
    this.#isLooking = false;
    const young = [...this.#young];
    this.#young.clear();
    for (const handle of young) this.#watch(handle);
  }

  #watch(handle: LockHandle): void {
    this.#watched.add(handle);
    handle.watch();
  }
}
