import { HeldLocks } from './held-locks.ts';
import type { LockHandle } from './lock.handle.ts';

/** @param carefreeMs how long it may go unwatched */
function lock(carefreeMs: number) {
  const watch = jest.fn();
  return { watch, handle: { carefreeMs, watch } as unknown as LockHandle };
}

describe('HeldLocks', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it('watches a lock that is still held after a moment, and none that was given back before', () => {
    const held = new HeldLocks();
    const [short, long] = [lock(10_000), lock(10_000)];
    held.add(short.handle);
    held.add(long.handle);
    held.remove(short.handle);
    jest.advanceTimersByTime(1_000);
    expect(short.watch).not.toHaveBeenCalled();
    expect(long.watch).toHaveBeenCalledTimes(1);
  });

  it('watches a lock at once that could not wait for that', () => {
    const hasty = lock(20);
    new HeldLocks().add(hasty.handle);
    expect(hasty.watch).toHaveBeenCalledTimes(1);
  });

  it('knows all that are held, and forgets each when it ends, young or old', () => {
    const held = new HeldLocks();
    const [young, old, hasty] = [lock(10_000), lock(10_000), lock(20)];
    held.add(old.handle);
    held.add(hasty.handle);
    jest.advanceTimersByTime(1_000);
    held.add(young.handle);
    expect(new Set(held)).toEqual(new Set([young, old, hasty].map(({ handle }) => handle)));
    for (const [at, each] of [young, old, hasty].entries()) {
      held.remove(each.handle);
      expect([...held]).not.toContain(each.handle);
      expect(held.size).toBe(2 - at);
    }
    jest.advanceTimersByTime(1_000);
    expect(young.watch).not.toHaveBeenCalled();
  });

  it('needs one timer for all of them', () => {
    const held = new HeldLocks();
    for (let i = 0; i < 100; i++) held.add(lock(10_000).handle);
    expect(jest.getTimerCount()).toBe(1);
  });
});
