/**
 * Settles as `work` does, or rejects with `late()` after `ms`. The work itself cannot be stopped.
 *
 * Once the time is over the event loop gets to read its sockets one last time: after it was blocked, an answer that
 * arrived long ago would otherwise count as missing.
 */
export function withDeadline<T>(work: Promise<T>, ms: number, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => setImmediate(() => reject(late())), ms);
    timer.unref();
    work.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
