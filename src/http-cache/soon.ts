import { withDeadline } from '../common/deadline.ts';

const LATE = new Error('It took too long');

/**
 * What `promise` becomes within `ms`, else undefined. A busy process fires its timers before it reads its sockets:
 * an answer that has come meanwhile still counts.
 */
export const soon = <T>(promise: Promise<T>, ms: number): Promise<T | undefined> =>
  withDeadline(promise, ms, { late: () => LATE }).catch((error: unknown) => {
    if (error === LATE) return undefined;
    throw error;
  });
