import { setImmediate as nextTurn } from 'node:timers/promises';
import { BatchTurn } from './batch-turn.ts';

const afterThisCallback = () => new Promise<void>((resolve) => process.nextTick(resolve));

describe('a batch', () => {
  let flushes: number;
  let turn: BatchTurn;

  beforeEach(() => {
    flushes = 0;
    turn = new BatchTurn(() => (flushes += 1));
  });

  it('leaves once, at the end of the callback, while nothing is in flight', async () => {
    turn.schedule();
    turn.schedule();
    expect(flushes).toBe(0);
    await afterThisCallback();
    expect(flushes).toBe(1);
    await nextTurn();
    expect(flushes).toBe(1);
  });

  it('waits for the end of the turn while another one is in flight', async () => {
    turn.began();
    turn.schedule();
    await afterThisCallback();
    expect(flushes).toBe(0);
    await nextTurn();
    expect(flushes).toBe(1);
  });

  it('does not wait any more when all of them were answered', async () => {
    turn.began();
    turn.began();
    turn.ended();
    turn.schedule();
    await afterThisCallback();
    expect(flushes).toBe(0);
    await nextTurn();
    turn.ended();
    turn.schedule();
    await afterThisCallback();
    expect(flushes).toBe(2);
  });
});
