import { StoreUnavailableError } from '../common/errors.ts';
import type { IdempotencyStore } from './idempotency-store.interface.ts';
import { IdempotentRun, type RunEnd } from './idempotent-run.ts';

const LEASE_MS = 900;

describe('a run', () => {
  let renewals: number[];
  /** What the store answers to renewals, one after the other. */
  let answers: (boolean | Error)[];
  let ends: RunEnd[];
  let run: IdempotentRun;

  beforeEach(() => {
    jest.useFakeTimers({ now: 0 });
    [renewals, answers, ends] = [[], [], []];
    const store: Partial<IdempotencyStore> = {
      renew: async () => {
        renewals.push(Date.now());
        const answer = answers.shift() ?? true;
        if (answer instanceof Error) throw answer;
        return answer;
      },
      release: async () => true,
    };
    const claim = { token: 'token', fingerprint: 'fingerprint', leaseMs: LEASE_MS };
    run = new IdempotentRun({ store: store as IdempotencyStore, name: 'n', claim, onEnd: (end) => ends.push(end) });
  });
  afterEach(() => jest.useRealTimers());

  it('renews its lease long before it ends', async () => {
    await jest.advanceTimersByTimeAsync(LEASE_MS);
    expect(renewals).toEqual([300, 600, 900]);
  });

  it('does not wait as long as usual when a renewal was not answered', async () => {
    const away = new StoreUnavailableError('renew', 'away');
    answers = [away, away, true];
    await jest.advanceTimersByTimeAsync(LEASE_MS);
    expect(renewals).toEqual([300, 400, 500, 800]);
  });

  it('renews nothing that is somebody else’s', async () => {
    answers = [false];
    await jest.advanceTimersByTimeAsync(3 * LEASE_MS);
    expect(renewals).toEqual([300]);
  });

  it('renews nothing when it has ended', async () => {
    await run.release();
    await jest.advanceTimersByTimeAsync(3 * LEASE_MS);
    expect([renewals, ends]).toEqual([[], ['released']]);
  });
});
