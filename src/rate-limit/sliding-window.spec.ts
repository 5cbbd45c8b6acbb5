import fc from 'fast-check';
import { bucketWidthUs, SlidingWindow } from './sliding-window.ts';

/** The window as a store uses it. */
class Limited {
  private readonly count: SlidingWindow;

  constructor(windowMs: number) {
    this.count = new SlidingWindow(bucketWidthUs(windowMs));
  }

  consume(nowUs: number, limit: number, cost: number) {
    const allowed = this.count.at(nowUs) + cost <= limit;
    const retryAfterMs = allowed ? 0 : this.count.msUntil(limit - cost);
    if (allowed) this.count.add(cost);
    return { allowed, retryAfterMs };
  }

  check(nowUs: number, limit: number) {
    const used = this.count.at(nowUs);
    return { allowed: used < limit, remaining: limit - used, resetMs: this.count.msUntil(0) };
  }
}

const START_US = Date.UTC(2030, 0, 1) * 1_000;

interface Call {
  readonly afterUs: number;
  readonly cost: number;
}
interface Admitted {
  readonly atUs: number;
  readonly cost: number;
}

/** Calls in bursts and in drops, over several windows. */
const someCalls = (windowMs: number, limit: number) =>
  fc.array(
    fc.record({
      afterUs: fc.oneof(
        { weight: 4, arbitrary: fc.integer({ min: 0, max: 5 }) },
        { weight: 2, arbitrary: fc.integer({ min: 0, max: windowMs * 1_000 }) },
        { weight: 1, arbitrary: fc.constantFrom(windowMs * 1_000, windowMs * 500, windowMs * 1_000 - 1) },
      ),
      cost: fc.integer({ min: 1, max: limit }),
    }),
    { minLength: 1, maxLength: 120 },
  );

const aWindow = fc.record({ windowMs: fc.integer({ min: 1, max: 100_000 }), limit: fc.integer({ min: 1, max: 20 }) });
const aHistory = aWindow.chain(({ windowMs, limit }) =>
  fc.record({ windowMs: fc.constant(windowMs), limit: fc.constant(limit), calls: someCalls(windowMs, limit) }),
);

/** What was admitted, the window afterwards and the time it is then. */
function replay(windowMs: number, limit: number, calls: readonly Call[]) {
  const window = new Limited(windowMs);
  const log: Admitted[] = [];
  let nowUs = START_US;
  for (const { afterUs, cost } of calls) {
    nowUs += afterUs;
    if (window.consume(nowUs, limit, cost).allowed) log.push({ atUs: nowUs, cost });
  }
  return { log, window, nowUs };
}

const spentWithin = (log: readonly Admitted[], fromUs: number, toUs: number): number =>
  log.reduce((sum, { atUs, cost }) => sum + (atUs > fromUs && atUs <= toUs ? cost : 0), 0);

describe('SlidingWindow', () => {
  it('never admits more than the limit over any window', () => {
    fc.assert(
      fc.property(aHistory, ({ windowMs, limit, calls }) => {
        const { log } = replay(windowMs, limit, calls);
        const fullest = Math.max(...log.map(({ atUs }) => spentWithin(log, atUs - windowMs * 1_000, atUs)));
        return fullest <= limit;
      }),
    );
  });

  it('refuses only what the last thirteen twelfths of a window leave no room for', () => {
    fc.assert(
      fc.property(aHistory, ({ windowMs, limit, calls }) => {
        const window = new Limited(windowMs);
        const widthUs = Math.ceil((windowMs * 1_000) / 12);
        const log: Admitted[] = [];
        let atUs = START_US;
        return calls.every(({ afterUs, cost }) => {
          atUs += afterUs;
          const { allowed } = window.consume(atUs, limit, cost);
          const wouldFit = spentWithin(log, atUs - 13 * widthUs, atUs) + cost <= limit;
          if (allowed) log.push({ atUs, cost });
          return allowed || !wouldFit;
        });
      }),
    );
  });

  it('tells how long a refused call has to wait, to the millisecond', () => {
    fc.assert(
      fc.property(aHistory, ({ windowMs, limit, calls }) => {
        const { window, nowUs } = replay(windowMs, limit, calls);
        const { retryAfterMs } = window.consume(nowUs, limit, limit);
        fc.pre(retryAfterMs > 0);
        const retry = (waitMs: number) => window.consume(nowUs + waitMs * 1_000, limit, limit).allowed;
        return !retry(retryAfterMs - 1) && retry(retryAfterMs);
      }),
    );
  });

  it('tells when the whole quota is back, to the millisecond', () => {
    fc.assert(
      fc.property(aHistory, ({ windowMs, limit, calls }) => {
        const { window, nowUs } = replay(windowMs, limit, calls);
        const { resetMs } = window.check(nowUs, limit);
        const remainingAfter = (waitMs: number) => window.check(nowUs + waitMs * 1_000, limit).remaining;
        return remainingAfter(resetMs - 1) < limit && remainingAfter(resetMs) === limit;
      }),
    );
  });

  it('counts a cost of n like n calls', () => {
    const [one, many] = [new Limited(1_000), new Limited(1_000)];
    one.consume(START_US, 10, 7);
    for (let i = 0; i < 7; i++) many.consume(START_US, 10, 1);
    expect(one.check(START_US, 10)).toEqual(many.check(START_US, 10));
  });

  it.each([1, 50, 1_000, 3_600_000])('blocks nobody for long when the clock is set back by %d ms', (backMs) => {
    const window = new Limited(1_000);
    window.consume(START_US, 1, 1);
    const afterUs = START_US - backMs * 1_000;
    const { allowed, retryAfterMs } = window.consume(afterUs, 1, 1);
    expect(allowed).toBe(false);
    expect(retryAfterMs).toBeLessThanOrEqual(2_000);
    // Asking again and again does not make it longer.
    for (let ms = 0; ms < retryAfterMs; ms += 10) expect(window.check(afterUs + ms * 1_000, 1).allowed).toBe(false);
    expect(window.consume(afterUs + retryAfterMs * 1_000, 1, 1).allowed).toBe(true);
  });

  it('gives nothing back when the clock is set back a little', () => {
    const window = new Limited(1_200);
    for (let i = 0; i < 12; i++) window.consume(START_US + i * 100_000, 12, 1);
    expect(window.check(START_US + 1_050_000, 12)).toMatchObject({ allowed: false, remaining: 0 });
  });
});
