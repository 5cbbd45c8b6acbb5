import { setTimeout as sleep } from 'node:timers/promises';

export interface EventuallyOptions {
  /** @default 5_000 */
  readonly withinMs?: number;
  /** @default 10 */
  readonly everyMs?: number;
}

/**
 * Repeats `check` until it neither throws nor returns false, and resolves with what it returned.
 * When the time is over it rejects with the last failure, so an assertion inside `check` explains itself.
 */
export async function eventually<T>(
  check: () => T | Promise<T>,
  { withinMs = 5_000, everyMs = 10 }: EventuallyOptions = {},
): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    const outcome = await attempt(check);
    if ('value' in outcome && outcome.value !== false) return outcome.value;
    if (performance.now() > end) {
      throw 'value' in outcome ? new Error(`still false after ${withinMs} ms`) : outcome.error;
    }
    await sleep(everyMs);
  }
}

async function attempt<T>(check: () => T | Promise<T>): Promise<{ value: T } | { error: unknown }> {
  try {
    return { value: await check() };
  } catch (error) {
    return { error };
  }
}
