import { AsyncLocalStorage } from 'node:async_hooks';
import type { Lock } from './lock.handle.ts';

/** What is locked, by its key in the store. */
interface Keyed {
  readonly key: string;
}

/** Work that is done under a lock. */
export class ProtectedWork {
  readonly outer = currentWork();
  /** Resolves when the lock was given back. */
  readonly ended: Promise<void>;
  isOver = false;
  end!: () => void;
  /** The handler it was begun for, until that is called. */
  handler: object | undefined;
  /** The call of that handler while it runs; it never rejects. */
  call: Promise<void> | undefined;

  /** @param owner whose locks these are: two applications in one process do not know each other's */
  constructor(
    readonly lock: Lock,
    readonly resources: readonly Keyed[],
    readonly owner: object,
  ) {
    this.ended = new Promise((resolve) => (this.end = resolve));
    running += 1;
  }

  run<T>(act: () => T): T {
    return storage.run(this, act);
  }

  /** Calls the handler it was begun for. */
  handle<T>(run: () => Promise<T>): Promise<T> {
    this.handler = undefined;
    // A stream is no promise.
    const answer = Promise.resolve(run());
    const over = (): void => void (this.call = undefined);
    this.call = answer.then(over, over);
    return answer;
  }

  /** What is still done in its context is not protected any more. */
  stop(): void {
    if (this.isOver) return;
    this.isOver = true;
    running -= 1;
    if (running === 0) leaveSoon();
  }
}

/** How long after the last work the async context is kept, so that busy times do not switch it on and off. */
const IDLE_MS = 1_000;

/** While it is in use every promise of the process costs a little more (Node 20), so it is only while work is done. */
const storage = new AsyncLocalStorage<ProtectedWork>();
let running = 0;
let idle: NodeJS.Timeout | undefined;

/**
 * The lock that the calling code runs under: of the innermost `withLock` or `@WithLock` around it; undefined where
 * there is none, and in work that was left behind when the lock was given back.
 *
 * @publicApi
 */
export function currentLock(): Lock | undefined {
  return currentWork()?.lock;
}

/** The innermost protected work that is not over. */
export function currentWork(): ProtectedWork | undefined {
  if (running === 0) return undefined;
  let work = storage.getStore();
  while (work?.isOver) work = work.outer;
  return work;
}

/** Whether the calling code holds one of these already. */
export function isReentrant(resources: readonly Keyed[], owner: object): boolean {
  for (let work = currentWork(); work !== undefined; work = work.outer) {
    if (!work.isOver && work.owner === owner && haveOneInCommon(work.resources, resources)) return true;
  }
  return false;
}

const haveOneInCommon = (some: readonly Keyed[], others: readonly Keyed[]): boolean =>
  some.some(({ key }) => others.some((other) => other.key === key));

function leaveSoon(): void {
  idle ??= setTimeout(() => {
    idle = undefined;
    if (running === 0) storage.disable();
  }, IDLE_MS).unref();
}
