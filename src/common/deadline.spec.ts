import { MessageChannel } from 'node:worker_threads';
import { withDeadline } from './deadline.ts';

const late = () => new Error('late');
const endings = { late };

/** Keeps the event loop from running anything, as a long computation does. */
function block(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe('withDeadline', () => {
  it('settles as the work does', async () => {
    const failure = new Error('failed');
    await expect(withDeadline(Promise.resolve(1), 50, endings)).resolves.toBe(1);
    await expect(withDeadline(Promise.reject(failure), 50, endings)).rejects.toBe(failure);
  });

  it('ends in exactly one way, whatever the work does later', async () => {
    const ends: string[] = [];
    const noting = {
      late: () => (ends.push('late'), new Error('late')),
      done: (value: string) => ends.push(value),
      failed: () => (ends.push('failed'), new Error('another')),
    };
    await withDeadline(Promise.resolve('done'), 50, noting);
    await expect(withDeadline(Promise.reject(new Error('failed')), 50, noting)).rejects.toThrow('another');
    const slow = new Promise<string>((resolve) => setTimeout(resolve, 300, 'too late'));
    await expect(withDeadline(slow, 5, noting)).rejects.toThrow('late');
    await slow;
    expect(ends).toEqual(['done', 'failed', 'late']);
  });

  it('waits for ever without a time', async () => {
    jest.useFakeTimers();
    void withDeadline(new Promise(() => undefined), null, endings);
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });

  it('rejects when the work takes longer', async () => {
    await expect(withDeadline(new Promise(() => undefined), 5, endings)).rejects.toThrow('late');
  });

  it('accepts an answer that had arrived while the event loop was blocked', async () => {
    const { port1, port2 } = new MessageChannel();
    const answer = new Promise<unknown>((resolve) => port1.once('message', resolve));
    // From here on timers come before whatever was received, which is the unlucky case.
    await new Promise((resolve) => setImmediate(resolve));
    const tooLate = jest.fn(late);
    const result = withDeadline(answer, 20, { late: tooLate });
    port2.postMessage('answer');
    block(60);
    await expect(result).resolves.toBe('answer');
    await new Promise((resolve) => setImmediate(resolve));
    expect(tooLate).not.toHaveBeenCalled();
    port1.close();
  });

  it('is reached by moving the time', async () => {
    jest.useFakeTimers();
    const result = withDeadline(new Promise(() => undefined), 10_000, endings);
    jest.advanceTimersByTime(10_000);
    await expect(result).rejects.toThrow('late');
    jest.useRealTimers();
  });

  it('leaves no timer behind', async () => {
    jest.useFakeTimers();
    await withDeadline(Promise.resolve(), 10_000, endings);
    await withDeadline(Promise.reject(new Error('failed')), 10_000, endings).catch(() => undefined);
    expect(jest.getTimerCount()).toBe(0);
    jest.useRealTimers();
  });
});
