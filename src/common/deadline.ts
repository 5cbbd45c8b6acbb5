/** As it was before a test took the timers over: moving the time must be enough to reach a deadline. */
const afterReading = setImmediate;

/** How the work ends; exactly one of them is called, once. */
export interface Endings<T> {
  /** It took too long: the error to reject with. */
  readonly late: () => Error;
  readonly done?: (value: T) => void;
  /** The error to reject with instead of the given one. */
  readonly failed?: (error: unknown) => Error;
}

/**
 * Settles as `work` does, or rejects with `late()` after `ms`, where null is never. The work itself cannot be stopped.
 *
 * Once the time is over the event loop gets to read its sockets one last time: after it was blocked, an answer that
 * arrived long ago would otherwise count as missing.
 */
export function withDeadline<T>(
  work: Promise<T>,
  ms: number | null,
  { late, done = nothing, failed = same }: Endings<T>,
): Promise<T> {
  return new Promise((resolve, reject) => {
    let isOver = false;
    const giveUp = () => {
      if (isOver) return;
      isOver = true;
      reject(late());
    };
    const timer = ms === null ? undefined : setTimeout(() => afterReading(giveUp), ms).unref();
    // On the path of every command: one promise, and no closure more than it takes.
    work.then(
      (value) => {
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        done(value);
        resolve(value);
      },
      (error: unknown) => {
        if (isOver) return;
        isOver = true;
        clearTimeout(timer);
        reject(failed(error));
      },
    );
  });
}

const nothing = (): void => undefined;
const same = (error: unknown): Error => error as Error;
