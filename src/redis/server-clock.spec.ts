import { ServerClock } from './server-clock.ts';

describe('ServerClock', () => {
  beforeEach(() => jest.useFakeTimers({ now: 1_000_000 }));
  afterEach(() => jest.useRealTimers());

  /** A server whose clock is `aheadMs` before ours and whose answer takes `tripMs`, half of it each way. */
  const serverAhead = (aheadMs: number, tripMs: number) => () => {
    jest.advanceTimersByTime(tripMs / 2);
    const atServer = Date.now() + aheadMs;
    jest.advanceTimersByTime(tripMs / 2);
    return Promise.resolve([Math.floor(atServer / 1_000), (atServer % 1_000) * 1_000]);
  };

  it("is this machine's clock until the server was asked", () => {
    expect(new ServerClock().now()).toBe(1_000_000);
  });

  it("is the server's clock afterwards, corrected by half the round trip", async () => {
    const clock = new ServerClock();
    await clock.learn(serverAhead(5_000, 40));
    expect(clock.now() - Date.now()).toBe(5_000);
    jest.advanceTimersByTime(1_234);
    expect(clock.now() - Date.now()).toBe(5_000);
  });

  it("does not follow when this machine's clock is set", async () => {
    const clock = new ServerClock();
    await clock.learn(serverAhead(0, 0));
    const before = clock.now();
    jest.setSystemTime(Date.now() + 3_600_000);
    expect(clock.now()).toBe(before);
  });

  it('wants to be asked again after a minute, and once a minute while nobody answers', async () => {
    const clock = new ServerClock();
    const outdated = jest.fn<undefined, []>();
    clock.now(outdated);
    expect(outdated).toHaveBeenCalledTimes(1);
    await expect(clock.learn(() => Promise.reject(new Error('no')))).rejects.toThrow('no');
    clock.now(outdated);
    expect(outdated).toHaveBeenCalledTimes(1);
    jest.advanceTimersByTime(60_001);
    clock.now(outdated);
    expect(outdated).toHaveBeenCalledTimes(2);
  });
});
