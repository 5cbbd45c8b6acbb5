/**
 * Runs what should return a promise, and may throw or return something else instead: what it throws is a rejection.
 * Not an async function: a promise that is returned stays the same one.
 */
export function begin<R>(operation: () => R | Promise<R>): Promise<R> {
  try {
    return Promise.resolve(operation());
  } catch (error) {
    return rejected(error);
  }
}

// eslint-disable-next-line @typescript-eslint/prefer-promise-reject-errors -- whatever somebody threw
export const rejected = (error: unknown): Promise<never> => Promise.reject(error);
