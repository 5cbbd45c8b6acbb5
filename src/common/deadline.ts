/**
 * Settles as `work` does, or rejects with `late()` after `ms`. The work itself cannot be stopped. `failed` may turn its
 * error into another one.
 *
 * Once the time is over the event loop gets to read its sockets one last time: after it was blocked, an answer that
 * arrived long ago would otherwise count as missing.
 */
export function withDeadline<T>(work: Promise<T>, ms: number, late: () => Error, failed = same): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => setImmediate(() => reject(late())), ms);
    timer.unref();
    // On the path of every command: one promise, and no closure more than it takes.
    work.then(
      (value) => {
        clearTimeout(timer);
        resolve(value);
      },
      (error: unknown) => {
        clearTimeout(timer);
        reject(failed(error));
      },
    );
  });
}

const same = (error: unknown): Error => error as Error;
