import { StoreUnavailableError } from '../common/errors.ts';
import { CredentialAlarm } from './availability.log.ts';
import { Availability } from './availability.ts';
import type { AvailabilityChange, AvailabilityState, RecoveryContext } from './availability.types.ts';

const SERVER = '127.0.0.1:6379';

let lines: string[];
let changes: AvailabilityState[];
let contexts: Pick<RecoveryContext, 'runIdChanged'>[];
/** What the next probes find: run ids, or nothing. */
let probe: jest.Mock<Promise<readonly string[]>>;
let availability: Availability;

const logger = {
  log: (line: string) => lines.push(`log ${line}`),
  warn: (line: string) => lines.push(`warn ${line}`),
  error: (line: string) => lines.push(`error ${line}`),
};
const away = () => Promise.reject<readonly string[]>(new StoreUnavailableError('probe', 'no answer'));
const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

beforeEach(() => {
  jest.useFakeTimers({ now: 0 });
  [lines, changes, contexts] = [[], [], []];
  probe = jest.fn(() => Promise.resolve(['run 1']));
  availability = new Availability({ server: SERVER, logger, probe });
  availability.onChange(({ to }) => changes.push(to));
});
afterEach(() => {
  availability.close();
  jest.useRealTimers();
});

const watchRecoveries = () => availability.onRecovering(async (context) => void contexts.push(context));

async function becomeHealthy(): Promise<void> {
  availability.recover();
  await pass(0);
  expect(availability.state).toBe('healthy');
  [lines, changes, contexts] = [[], [], []];
}

describe('the start', () => {
  it('is degraded until the server was seen, and says only that it is connected', async () => {
    expect(availability.state).toBe('degraded');
    expect(lines).toEqual([]);
    availability.recover();
    await pass(0);
    expect(changes).toEqual(['recovering', 'healthy']);
    expect(lines).toEqual([`log cache: healthy since 1970-01-01T00:00:00.000Z (connected): ${SERVER} is used`]);
  });

  it('without a server is said once, whatever is noticed how often', async () => {
    availability.degrade('ECONNREFUSED');
    availability.degrade('ECONNREFUSED');
    availability.giveUpWaiting('no answer within 2000 ms');
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain('degraded since 1970-01-01T00:00:00.000Z (ECONNREFUSED)');
    expect(changes).toEqual([]);
  });

  it('that takes too long goes on in the background', async () => {
    probe.mockImplementation(async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return ['run 1'];
    });
    availability.recover();
    availability.giveUpWaiting('no answer within 50 ms');
    await pass(100);
    expect(availability.state).toBe('healthy');
    expect(lines.map((line) => line.split(' ')[2])).toEqual(['degraded', 'recovering', 'healthy']);
  });

  it('runs the steps, which nothing was missed before', async () => {
    watchRecoveries();
    availability.recover();
    await pass(0);
    expect(contexts).toEqual([{ runIdChanged: false }]);
  });
});

describe('an outage', () => {
  beforeEach(becomeHealthy);

  it('is told and logged once each way, with what it means', async () => {
    const told: AvailabilityChange[] = [];
    availability.onChange((change) => told.push(change));
    await pass(1_000);
    for (let times = 0; times < 100; times += 1) availability.degrade('connection lost');
    expect(availability).toMatchObject({ state: 'degraded', since: 1_000, reason: 'connection lost' });
    await pass(4_200);
    availability.recover();
    await pass(0);
    expect(told).toEqual([
      { from: 'healthy', to: 'degraded', reason: 'connection lost', since: 1_000 },
      { from: 'degraded', to: 'recovering', reason: 'it is the same as before', since: 5_200 },
      { from: 'recovering', to: 'healthy', reason: 'after 4200 ms', since: 5_200 },
    ]);
    expect(lines).toEqual([
      'warn cache: degraded since 1970-01-01T00:00:01.000Z (connection lost): 127.0.0.1:6379 cannot be used: reads are ' +
        'answered from memory and factories, invalidations are journaled, locks and collections refuse unless ' +
        'configured otherwise',
      'log cache: recovering since 1970-01-01T00:00:05.200Z (it is the same as before): 127.0.0.1:6379 answers again ' +
        'and is told what it missed',
      'log cache: healthy since 1970-01-01T00:00:05.200Z (after 4200 ms): 127.0.0.1:6379 is used',
    ]);
  });

  it('does not flap while probes fail', async () => {
    probe.mockImplementation(away);
    availability.degrade('5 of 6 calls failed');
    for (let times = 0; times < 10; times += 1) {
      availability.recover();
      await pass(1_000);
    }
    expect(changes).toEqual(['degraded']);
    expect(availability.reason).toBe('5 of 6 calls failed');
  });

  it('ends by itself: attempts are repeated with growing, spread delays of a second at most', async () => {
    probe.mockImplementation(away);
    const times: number[] = [];
    probe.mockImplementation(() => (times.push(Date.now()), away()));
    availability.degrade('connection lost');
    availability.recover();
    await pass(10_000);
    const delays = times.slice(1).map((time, index) => time - times[index]!);
    expect(delays[0]).toBeLessThanOrEqual(250);
    expect(Math.max(...delays)).toBeLessThanOrEqual(1_000);
    expect(times.length).toBeLessThan(25);
    expect(new Set(delays).size).toBeGreaterThan(3);
    probe.mockImplementation(() => Promise.resolve(['run 1']));
    await pass(1_000);
    expect(availability.state).toBe('healthy');
  });

  it('lasts from the first loss, however often its end was tried', async () => {
    availability.onRecovering(() => (Date.now() < 2_000 ? Promise.reject(new Error('not yet')) : Promise.resolve()));
    availability.degrade('connection lost');
    await pass(1_000);
    availability.recover();
    await pass(3_000);
    expect(availability.state).toBe('healthy');
    expect(availability.reason).toBe(`after ${availability.since} ms`);
  });

  it('lets callers wait for its end', async () => {
    availability.degrade('connection lost');
    const waiting = availability.whenHealthy();
    availability.recover();
    await expect(waiting).resolves.toBeUndefined();
    await expect(availability.whenHealthy()).resolves.toBeUndefined();
  });
});

describe('recovery steps', () => {
  beforeEach(becomeHealthy);

  it('run in order, one after the other, before the server is used', async () => {
    const events: string[] = [];
    for (const name of ['first', 'second']) {
      availability.onRecovering(async () => {
        events.push(`${name} begins while ${availability.state}`);
        await new Promise((resolve) => setTimeout(resolve, 100));
        events.push(`${name} ends`);
      });
    }
    availability.degrade('connection lost');
    availability.recover();
    await pass(200);
    expect(events).toEqual([
      ...['first begins while recovering', 'first ends'],
      ...['second begins while recovering', 'second ends'],
    ]);
    expect(availability.state).toBe('healthy');
  });

  it.each([
    ['is the same', ['run 1'], false],
    ['was restarted', ['run 2'], true],
    ['does not say who it is', [], true],
    ['has one more primary', ['run 1', 'run 2'], true],
  ])('hear whether the server may have lost its data: it %s', async (_, runIds, runIdChanged) => {
    watchRecoveries();
    availability.degrade('connection lost');
    probe.mockResolvedValue(runIds);
    availability.recover();
    await pass(0);
    expect(contexts).toEqual([{ runIdChanged }]);
  });

  it('hear of a restart until they have succeeded', async () => {
    let isBroken = true;
    availability.onRecovering(async (context) => {
      contexts.push(context);
      if (isBroken) throw new StoreUnavailableError('del', 'no answer');
    });
    availability.degrade('connection lost');
    probe.mockResolvedValue(['run 2']);
    availability.recover();
    await pass(0);
    isBroken = false;
    await pass(1_000);
    expect(contexts).toEqual([{ runIdChanged: true }, { runIdChanged: true }]);
    availability.degrade('connection lost');
    availability.recover();
    await pass(0);
    expect(contexts.at(-1)).toEqual({ runIdChanged: false });
  });

  it('that fail take the state back, and all are tried again', async () => {
    let failures = 2;
    watchRecoveries();
    availability.onRecovering(async () => {
      if ((failures -= 1) >= 0) throw new Error('hunter2');
    });
    availability.degrade('connection lost');
    availability.recover();
    await pass(3_000);
    expect(changes).toEqual([
      ...['degraded', 'recovering'],
      ...['degraded', 'recovering'],
      'degraded',
      'recovering',
      'healthy',
    ]);
    expect(contexts).toHaveLength(3);
    expect(lines.join()).toContain('recovery failed: Error');
    expect(lines.join()).not.toContain('hunter2');
  });

  it('of an attempt that a loss has made void change nothing, and the next attempt waits for them', async () => {
    let running = 0;
    let overlaps = 0;
    availability.onRecovering(async () => {
      overlaps += running;
      running += 1;
      await new Promise((resolve) => setTimeout(resolve, 100));
      running -= 1;
    });
    watchRecoveries();
    availability.degrade('connection lost');
    availability.recover();
    await pass(50);
    availability.degrade('connection lost again');
    availability.recover();
    await pass(50);
    // The first attempt has ended, and only the second one may go on.
    expect([availability.state, contexts.length]).toEqual(['recovering', 0]);
    await pass(100);
    expect([availability.state, contexts.length, overlaps]).toEqual(['healthy', 1, 0]);
  });

  it('of a server that was lost again while it answered the probe are not begun', async () => {
    watchRecoveries();
    availability.degrade('connection lost');
    probe.mockImplementation(async () => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return ['run 1'];
    });
    availability.recover();
    await pass(50);
    availability.degrade('connection lost again');
    await pass(5_000);
    expect([availability.state, contexts]).toEqual(['degraded', []]);
    availability.recover();
    await pass(100);
    expect(availability.state).toBe('healthy');
  });

  it('of an attempt that is void may fail without any consequence', async () => {
    let isFailing = true;
    availability.onRecovering(async () => {
      const fails = isFailing;
      await new Promise((resolve) => setTimeout(resolve, 100));
      if (fails) throw new Error('no');
    });
    availability.degrade('connection lost');
    availability.recover();
    await pass(50);
    availability.degrade('connection lost again');
    isFailing = false;
    await pass(5_000);
    expect(availability).toMatchObject({ state: 'degraded', reason: 'connection lost again' });
    expect(probe).toHaveBeenCalledTimes(2);
  });

  it('are not run any more when removed, once per time they were added', async () => {
    const [remove] = [watchRecoveries(), watchRecoveries()];
    remove();
    remove();
    availability.degrade('connection lost');
    availability.recover();
    await pass(0);
    expect(contexts).toHaveLength(1);
  });

  it('run once for occasions that come together', async () => {
    watchRecoveries();
    availability.degrade('connection lost');
    for (let times = 0; times < 5; times += 1) availability.recover();
    await pass(5_000);
    expect(contexts).toHaveLength(1);
    expect(probe).toHaveBeenCalledTimes(2);
  });
});

describe('another server in the place of one that was not away', () => {
  beforeEach(becomeHealthy);

  it('is told what it may have missed while it is used', async () => {
    const states: string[] = [];
    availability.onRecovering(async (context) => {
      contexts.push(context);
      states.push(availability.state);
    });
    probe.mockResolvedValue(['run 2']);
    availability.verify();
    await pass(0);
    expect([contexts, states]).toEqual([[{ runIdChanged: true }], ['healthy']]);
    expect([availability.state, changes, lines]).toEqual(['healthy', [], []]);
    // From now on it is the one that is known.
    availability.verify();
    await pass(0);
    expect(contexts.at(-1)).toEqual({ runIdChanged: false });
  });

  it('is away when it does not answer', async () => {
    probe.mockImplementation(away);
    availability.verify();
    await pass(0);
    expect(availability).toMatchObject({ state: 'degraded', reason: 'probe was not executed: no answer' });
    expect(changes).toEqual(['degraded']);
    probe.mockResolvedValue(['run 1']);
    await pass(1_000);
    expect(changes).toEqual(['degraded', 'recovering', 'healthy']);
  });

  it('is away when it cannot be told, and all steps are tried again', async () => {
    let failures = 1;
    watchRecoveries();
    availability.onRecovering(async () => {
      if ((failures -= 1) >= 0) throw new StoreUnavailableError('del', 'no answer');
    });
    probe.mockResolvedValue(['run 2']);
    availability.verify();
    await pass(1_000);
    expect(changes).toEqual(['degraded', 'recovering', 'healthy']);
    expect(contexts).toEqual([{ runIdChanged: true }, { runIdChanged: true }]);
  });

  it('is not asked any more after closing', async () => {
    availability.close();
    availability.verify();
    await pass(1_000);
    expect(probe).toHaveBeenCalledTimes(1);
  });
});

describe('listeners', () => {
  beforeEach(becomeHealthy);

  it('hear of changes although another one throws, whose words are not logged', () => {
    availability.onChange(() => {
      throw new Error('hunter2');
    });
    const heard = jest.fn();
    availability.onChange(heard);
    availability.degrade('connection lost');
    expect(heard).toHaveBeenCalledTimes(1);
    expect(lines.at(-1)).toBe(`warn cache: a listener for ${SERVER} failed: Error`);
  });

  it('stop hearing when they have had enough, once per time they were added', () => {
    const heard = jest.fn();
    const [stop] = [availability.onChange(heard), availability.onChange(heard)];
    stop();
    stop();
    availability.degrade('connection lost');
    expect(heard).toHaveBeenCalledTimes(1);
  });
});

describe('closing', () => {
  it('ends the attempts and leaves no timer behind', async () => {
    probe.mockImplementation(away);
    availability.degrade('connection lost');
    availability.recover();
    await pass(500);
    const attempts = probe.mock.calls.length;
    availability.close();
    availability.recover();
    expect(jest.getTimerCount()).toBe(0);
    await pass(5_000);
    expect(probe).toHaveBeenCalledTimes(attempts);
  });

  it('makes an attempt under way void', async () => {
    availability.recover();
    availability.close();
    await pass(0);
    expect(changes).toEqual([]);
  });
});

describe('CredentialAlarm', () => {
  it('sounds at once and then every 30 seconds at most', async () => {
    const alarm = new CredentialAlarm(SERVER, logger);
    for (let second = 0; second < 60; second += 1) {
      alarm.sound('WRONGPASS');
      await pass(1_000);
    }
    expect(lines).toEqual(
      Array(2).fill(`error cache: ${SERVER} does not accept our user or password (WRONGPASS): check the configuration`),
    );
  });
});
