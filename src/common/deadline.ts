/** As it was before a test took the timers over: moving the time must be enough to reach a deadline. */
const afterReading = setImmediate;

/**
 * Settles as `work` does, or rejects with `late()` after `ms`; `late` is called only then. The work itself cannot be
 * stopped. `failed` may turn its error into another one.
 *
 * Once the time is over the event loop gets to read its sockets one last time: after it was blocked, an answer that
 * arrived long ago would otherwise count as missing.
 */
export function withDeadline<T>(work: Promise<T>, ms: number, late: () => Error, failed = same): Promise<T> {
  return new Promise((resolve, reject) => {
    let isSettled = false;
    const timer = setTimeout(() => {
      afterReading(() => {
        if (!isSettled) reject(late());
      });
    }, ms).unref();
    // On the path of every command: one promise, and no closure more than it takes.
    work.then(
      (value) => {
        isSettled = true;
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        isSettled = true;
        clearTimeout(timer);
        reject(failed(error));
      },
    );
  });
}

const same = (error: unknown): Error => error as Error;
