import { setImmediate as nextTurn } from 'node:timers/promises';
import { within } from '../common/within.ts';

/**
 * What `promise` becomes within `ms`, else undefined. A busy process fires its timers before it reads its sockets:
 * an answer that has come meanwhile still counts.
 */
export async function soon<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  const late = Symbol('late');
  const first = await within<T, typeof late>(promise, ms, late);
  if (first !== late) return first;
  await nextTurn();
  const second = await within<T, typeof late>(promise, 0, late);
  return second === late ? undefined : second;
}
