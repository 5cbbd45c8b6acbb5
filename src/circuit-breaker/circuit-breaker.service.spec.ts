import {
  ForbiddenException,
  InternalServerErrorException,
  NotFoundException,
  ServiceUnavailableException,
} from '@nestjs/common';
import type Opossum from 'opossum';
import { InvalidOptionsError } from '../common/errors.ts';
import {
  CircuitFullError,
  CircuitOpenError,
  CircuitTimeoutError,
  isCircuitFullError,
  isCircuitOpenError,
  isCircuitTimeoutError,
} from './circuit-breaker.errors.ts';
import { circuitOf } from './circuit-breaker.handle.ts';
import { CircuitBreakerService } from './circuit-breaker.service.ts';
import { CIRCUIT_BREAKER_DEFAULTS } from './circuit-breaker.options.ts';
import type { CircuitBreakerConfig } from './circuit.config.ts';
import type { CircuitChange } from './circuit.stats.ts';

const RESET_MS = 1_000;
const config = (more: Partial<CircuitBreakerConfig> = {}): CircuitBreakerConfig => ({
  name: 'payments',
  resetTimeout: RESET_MS,
  volumeThreshold: 4,
  ...more,
});

/** The smallest duration that is told apart. */
const AT_ONCE = 0.00953;

const failure = new Error('no answer');
const succeed = () => Promise.resolve('fine');
const fail = () => Promise.reject(failure);
const outcomeOf = (call: Promise<unknown>) => call.then(String, (error: unknown) => error);
const pass = (ms: number) => jest.advanceTimersByTimeAsync(ms);

let lines: string[];
let service: CircuitBreakerService;

beforeEach(() => {
  jest.useFakeTimers({ now: 1_000_000 });
  lines = [];
  service = new CircuitBreakerService(CIRCUIT_BREAKER_DEFAULTS, {
    log: (line) => lines.push(`log ${line}`),
    warn: (line) => lines.push(`warn ${line}`),
  });
});
afterEach(() => {
  service.onApplicationShutdown();
  jest.useRealTimers();
});

async function failTimes(times: number, name = 'payments'): Promise<void> {
  for (let call = 0; call < times; call += 1) await outcomeOf(service.execute(name, fail));
}

/** Makes the circuit `payments`, open. */
async function open(more: Partial<CircuitBreakerConfig> = {}) {
  const handle = service.create(succeed, config(more));
  await failTimes(handle.closed ? 4 : 0);
  expect(handle.state).toBe('OPEN');
  return handle;
}

/** A promise that is settled by hand. */
function pending<T>() {
  let settle!: { resolve: (value: T) => void; reject: (error: Error) => void };
  const promise = new Promise<T>((resolve, reject) => (settle = { resolve, reject }));
  return { promise, ...settle };
}

describe('a closed circuit', () => {
  it('opens when more than the share of the calls failed, and not before the volume is reached', async () => {
    const handle = service.create(succeed, config({ errorThresholdPercentage: 50, volumeThreshold: 6 }));
    for (const call of [succeed, fail, succeed, fail, fail]) await outcomeOf(service.execute('payments', call));
    expect(handle.closed).toBe(true);
    await outcomeOf(service.execute('payments', succeed));
    await failTimes(1);
    expect(handle.opened).toBe(true);
  });

  it('stays closed while exactly the share fails', async () => {
    const handle = service.create(succeed, config());
    for (let times = 0; times < 20; times += 1) {
      await handle.fire();
      await failTimes(1);
    }
    expect(handle.closed).toBe(true);
  });

  it('forgets what failed longer than the window ago', async () => {
    const handle = service.create(succeed, config({ window: '10s' }));
    await failTimes(3);
    await pass(10_000);
    await failTimes(3);
    expect(handle.closed).toBe(true);
    await failTimes(1);
    expect(handle.opened).toBe(true);
  });

  it('opens when all calls fail after a busy time, however many have succeeded within the window', async () => {
    const handle = service.create(succeed, config());
    for (let times = 0; times < 100_000; times += 1) await handle.fire();
    await failTimes(500);
    expect(handle.opened).toBe(true);
    expect(handle.stats.rejects).toBeGreaterThanOrEqual(400);
  });

  it('counts in a row only what no success has interrupted', async () => {
    const handle = service.create(succeed, config({ volumeThreshold: 1_000_000 }));
    await failTimes(99);
    await handle.fire();
    await failTimes(99);
    expect(handle.closed).toBe(true);
  });

  it('forgets how many have failed in a row when it is closed by hand', async () => {
    const handle = service.create(succeed, config({ volumeThreshold: 1_000_000 }));
    await failTimes(100);
    expect(handle.opened).toBe(true);
    service.close('payments');
    await failTimes(99);
    expect(handle.closed).toBe(true);
    await failTimes(1);
    expect(handle.opened).toBe(true);
  });

  it('keeps nothing for each call', async () => {
    const handle = service.create(succeed, config());
    for (let times = 0; times < 50; times += 1) await handle.fire();
    const opossum = circuitOf(handle).machine.events as unknown as Pick<Opossum, 'status'>;
    expect(opossum.status.window.flatMap(({ latencyTimes }) => latencyTimes)).toEqual([]);
    // The slices of the window; no snapshots.
    expect(jest.getTimerCount()).toBe(1);
  });

  it('never opens with a threshold of 100', async () => {
    service.create(succeed, config({ errorThresholdPercentage: 100 }));
    await failTimes(500);
    expect(service.get('payments')?.closed).toBe(true);
  });

  it.each([
    ['client errors', new NotFoundException()],
    ['what the filter excepts', new RangeError()],
  ])('does not count %s', async (_, error) => {
    const handle = service.create(
      () => Promise.reject(error),
      config({ errorFilter: (candidate) => candidate instanceof RangeError }),
    );
    for (let times = 0; times < 200; times += 1) await expect(handle.fire()).rejects.toBe(error);
    expect(handle.closed).toBe(true);
    expect(handle.stats).toMatchObject({ failures: 0, successes: 200 });
  });

  it('counts what a broken filter does not judge, and still answers', async () => {
    const warn = jest.spyOn(process, 'emitWarning').mockReturnValue();
    const broken = new TypeError('no such field');
    const handle = service.create(
      fail,
      config({
        errorFilter: () => {
          throw broken;
        },
      }),
    );
    for (let times = 0; times < 4; times += 1) await expect(handle.fire()).rejects.toBe(failure);
    expect(handle.opened).toBe(true);
    await expect(
      service.execute('payments', () => Promise.reject<string>(failure), { fallback: () => 'instead' }),
    ).resolves.toBe('instead');
    expect(warn).toHaveBeenCalledWith(broken);
    warn.mockRestore();
  });

  it.each([new InternalServerErrorException(), new ServiceUnavailableException()])(
    'counts the errors of a server: %s',
    async (error) => {
      const handle = service.create(() => Promise.reject(error), config());
      for (let times = 0; times < 4; times += 1) await outcomeOf(handle.fire());
      expect(handle.opened).toBe(true);
    },
  );

  it('counts what an operation throws before it returns a promise', async () => {
    const handle = service.create((): Promise<string> => {
      throw failure;
    }, config());
    for (let times = 0; times < 4; times += 1) await expect(handle.fire()).rejects.toBe(failure);
    expect(handle.opened).toBe(true);
  });
});

describe('an open circuit', () => {
  it('refuses calls at once and says when to come back', async () => {
    const handle = await open();
    await pass(400);
    const operation = jest.fn(succeed);
    const error = await outcomeOf(service.execute('payments', operation));
    expect(operation).not.toHaveBeenCalled();
    expect(error).toBeInstanceOf(CircuitOpenError);
    expect(isCircuitOpenError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'KEEP_CIRCUIT_OPEN', circuit: 'payments', retryAfterMs: 600 });
    expect((error as CircuitOpenError).getStatus()).toBe(503);
    expect(handle.nextTryAt).toBe(Date.now() + 600);
  });

  it('has a time to come back that lies ahead, also when the event loop is late', async () => {
    const handle = await open();
    jest.setSystemTime(Date.now() + 2 * RESET_MS);
    await expect(handle.fire()).rejects.toMatchObject({ retryAfterMs: 1 });
  });

  it('admits nobody before the reset timeout', async () => {
    const handle = await open();
    await pass(RESET_MS - 1);
    await expect(handle.fire()).rejects.toBeInstanceOf(CircuitOpenError);
    await pass(1);
    await expect(handle.fire()).resolves.toBe('fine');
  });
});

describe('a half-open circuit', () => {
  it.each([1, 3])('admits exactly %i of 100 calls at a time', async (halfOpenMaxCalls) => {
    const handle = await open({ halfOpenMaxCalls, resetTimeout: 5 * RESET_MS });
    await pass(5 * RESET_MS);
    expect(handle.halfOpen).toBe(true);
    const answer = pending<string>();
    const operation = jest.fn(() => answer.promise);
    const calls = Array.from({ length: 100 }, () => outcomeOf(service.execute('payments', operation)));
    await pass(0);
    expect(operation).toHaveBeenCalledTimes(halfOpenMaxCalls);
    answer.resolve('fine');
    const outcomes = await Promise.all(calls);
    const refused = outcomes.filter(isCircuitOpenError);
    expect(refused).toHaveLength(100 - halfOpenMaxCalls);
    expect(new Set(refused.map(({ retryAfterMs }) => retryAfterMs))).toEqual(new Set([1_000]));
    expect(handle.closed).toBe(true);
  });

  it('opens for another break when a trial fails', async () => {
    const handle = await open();
    await pass(RESET_MS);
    await failTimes(1);
    expect(handle.opened).toBe(true);
    expect(handle.nextTryAt).toBe(Date.now() + RESET_MS);
  });

  it('admits as many trials again after another break', async () => {
    const handle = await open({ halfOpenMaxCalls: 2 });
    for (let breaks = 0; breaks < 3; breaks += 1) {
      await pass(RESET_MS);
      expect(handle.halfOpen).toBe(true);
      const operation = jest.fn(fail);
      await Promise.all(Array.from({ length: 10 }, () => outcomeOf(service.execute('payments', operation))));
      expect(operation).toHaveBeenCalledTimes(2);
    }
  });

  it('starts anew when a trial succeeds: one more failure does not open it', async () => {
    const handle = await open();
    await pass(RESET_MS);
    await handle.fire();
    await failTimes(3);
    expect(handle.closed).toBe(true);
    await failTimes(1);
    expect(handle.opened).toBe(true);
  });

  it.each(['resolve', 'reject'] as const)('is not decided by a call from before that %ss late', async (act) => {
    const handle = service.create(succeed, config({ timeout: false }));
    const answer = pending<string>();
    const late = outcomeOf(service.execute('payments', () => answer.promise));
    await failTimes(4);
    await pass(RESET_MS);
    if (act === 'resolve') answer.resolve('late');
    else answer.reject(failure);
    await late;
    expect(handle.halfOpen).toBe(true);
  });
});

describe('a call that takes too long', () => {
  it('fails with 504, aborts the signal and counts', async () => {
    let signal: AbortSignal | undefined;
    const call = outcomeOf(
      service.execute(
        'payments',
        (given) =>
          new Promise((_, reject) => {
            signal = given;
            given.addEventListener('abort', () => reject(new Error('aborted')));
          }),
        { timeout: '250ms' },
      ),
    );
    await pass(249);
    expect(signal?.aborted).toBe(false);
    await pass(1);
    const error = await call;
    expect(error).toBeInstanceOf(CircuitTimeoutError);
    expect(isCircuitTimeoutError(error)).toBe(true);
    expect(error).toMatchObject({ code: 'KEEP_CIRCUIT_TIMEOUT', circuit: 'payments', timeoutMs: 250 });
    expect((error as CircuitTimeoutError).getStatus()).toBe(504);
    expect(signal?.reason).toBe(error);
    expect(service.getStats()['payments']?.stats).toMatchObject({ failures: 1, timeouts: 1, successes: 0 });
  });

  it('is told with its arguments and how long it took', async () => {
    const timeouts: unknown[][] = [];
    const handle = service
      .create((id: number) => pending<string>().promise.then(() => id), config({ timeout: 250 }))
      .on('timeout', (...details: unknown[]) => timeouts.push(details));
    const call = outcomeOf(handle.fire(7));
    await pass(250);
    expect(timeouts).toEqual([[await call, 250, [7]]]);
  });

  it('does not count again when it ends after all', async () => {
    const answer = pending<string>();
    const call = outcomeOf(service.execute('payments', () => answer.promise));
    await pass(3_000);
    await call;
    answer.resolve('late');
    await pass(0);
    expect(service.getStats()['payments']?.stats).toMatchObject({ fires: 1, failures: 1, successes: 0 });
  });

  it('may take as long as it wants without a timeout', async () => {
    const answer = pending<string>();
    const call = service.execute('payments', () => answer.promise, { timeout: false });
    await pass(600_000);
    answer.resolve('at last');
    await expect(call).resolves.toBe('at last');
  });
});

describe('a full circuit', () => {
  it('refuses further calls, which neither opens it nor ends a trial', async () => {
    const answer = pending<string>();
    const handle = service.create(() => answer.promise, config({ capacity: 2 }));
    const running = [handle.fire(), handle.fire()];
    for (let times = 0; times < 10; times += 1) {
      const error = await outcomeOf(handle.fire());
      expect(error).toBeInstanceOf(CircuitFullError);
      expect(isCircuitFullError(error)).toBe(true);
    }
    expect(handle.closed).toBe(true);
    expect(handle.stats).toMatchObject({ fires: 12, rejects: 10, failures: 0 });
    answer.resolve('fine');
    await Promise.all(running);
    await expect(handle.fire()).resolves.toBe('fine');
  });
});

describe('handles', () => {
  it('of one name share their state, and each runs its own operation with its own arguments', async () => {
    const double = service.create((n: number) => Promise.resolve(n * 2), config());
    const greet = service.create((name: string) => Promise.resolve(`hello ${name}`), config());
    await expect(Promise.all([double.fire(2), greet.fire('Ada'), double.fire(4)])).resolves.toEqual([
      4,
      'hello Ada',
      8,
    ]);
    await failTimes(10);
    expect([double.opened, greet.opened]).toEqual([true, true]);
    expect(double.stats).toEqual(greet.stats);
  });

  it('are the same for the same name and operation, and differ by name', () => {
    expect(service.create(succeed, config())).toBe(service.create(succeed, config()));
    expect(service.create(succeed, config())).not.toBe(service.create(succeed, config({ name: 'other' })));
  });

  it('call the operation with the `this` of each call', async () => {
    async function whoami(this: { name: string }): Promise<string> {
      await Promise.resolve();
      return this.name;
    }
    const handle = service.create(whoami, config());
    const calls = ['Ada', 'Grace'].map((name) => handle.call({ name }));
    await expect(Promise.all(calls)).resolves.toEqual(['Ada', 'Grace']);
  });

  it('fall back each on its own, with the arguments of the call and the error', async () => {
    const first = service.create((n: number) => fail().then(() => n), config()).fallback((n) => n + 1);
    const second = service.create((n: number) => fail().then(() => n), config());
    await expect(first.fire(1)).resolves.toBe(2);
    await expect(second.fire(1)).rejects.toBe(failure);
    const fallback = jest.fn(() => 0);
    second.fallback(fallback);
    await second.fire(5);
    expect(fallback).toHaveBeenCalledWith(5, failure);
    expect(first.stats.fallbacks).toBe(2);
  });

  it('do not fall back on client errors', async () => {
    const error = new NotFoundException();
    const handle = service.create(() => Promise.reject<string>(error), config()).fallback(() => 'hidden');
    await expect(handle.fire()).rejects.toBe(error);
  });

  it('tell the events of opossum, with what they are about', async () => {
    const events: unknown[][] = [];
    const handle = service.create((n: number) => (n > 0 ? Promise.resolve(n) : fail()), config({ volumeThreshold: 2 }));
    for (const event of ['fire', 'success', 'failure', 'reject', 'open', 'halfOpen', 'close', 'fallback'] as const) {
      handle.on(event, (...details: unknown[]) => events.push([event, details[0]]));
    }
    await handle.fire(1);
    await outcomeOf(handle.fire(-1));
    await outcomeOf(handle.fire(-2));
    const refused = await outcomeOf(handle.fire(3));
    await pass(RESET_MS);
    await handle.fire(4);
    await handle.fallback(() => 7).fire(-3);
    expect(events).toEqual([
      ...[
        ['fire', [1]],
        ['success', 1],
        ['fire', [-1]],
        ['failure', failure],
        ['fire', [-2]],
        ['failure', failure],
      ],
      ...[
        ['open', undefined],
        ['reject', refused],
        ['halfOpen', RESET_MS],
        ['fire', [4]],
        ['close', undefined],
      ],
      ...[
        ['success', 4],
        ['fire', [-3]],
        ['failure', failure],
        ['fallback', 7],
      ],
    ]);
  });

  it('are not disturbed by a listener that throws', async () => {
    const warn = jest.spyOn(process, 'emitWarning').mockReturnValue();
    const handle = service.create(succeed, config()).on('success', () => {
      throw new Error('broken listener');
    });
    await expect(handle.fire()).resolves.toBe('fine');
    expect(handle.stats).toMatchObject({ successes: 1, failures: 0 });
    expect(warn).toHaveBeenCalledWith(new Error('broken listener'));
    warn.mockRestore();
  });

  it('stop telling a listener that is taken off', async () => {
    const listener = jest.fn();
    const handle = service.create(succeed, config()).on('success', listener).off('success', listener);
    await handle.fire();
    expect(listener).not.toHaveBeenCalled();
  });

  it('open and close by hand', async () => {
    const handle = service.create(succeed, config());
    handle.open();
    await expect(handle.fire()).rejects.toBeInstanceOf(CircuitOpenError);
    handle.close();
    await expect(handle.fire()).resolves.toBe('fine');
    handle.open();
    await pass(RESET_MS);
    expect(handle.halfOpen).toBe(true);
  });
});

describe('execute', () => {
  it('makes a circuit with the defaults of the module at its first use', async () => {
    await expect(service.execute('quotes', succeed)).resolves.toBe('fine');
    expect(service.getStats()['quotes']).toEqual({
      name: 'quotes',
      state: 'CLOSED',
      isBypassed: false,
      stats: {
        fires: 1,
        successes: 1,
        failures: 0,
        timeouts: 0,
        rejects: 0,
        fallbacks: 0,
        p50Ms: AT_ONCE,
        p99Ms: AT_ONCE,
      },
      nextTryAt: null,
      config: {
        ...{ name: 'quotes', timeout: 3_000, errorThresholdPercentage: 50, resetTimeout: 30_000 },
        ...{ volumeThreshold: 5, window: 10_000, halfOpenMaxCalls: 1 },
      },
    });
  });

  it('answers with its own fallback when the call fails or is refused', async () => {
    const calls = Array.from({ length: 6 }, (_, index) =>
      service.execute('payments', fail, { fallback: (error) => `${index}: ${error.name}` }),
    );
    const outcomes = [];
    for (const call of calls) outcomes.push(await call);
    outcomes.push(await service.execute('payments', fail, { fallback: (error) => error.name }));
    expect(outcomes).toEqual([...[0, 1, 2, 3, 4, 5].map((index) => `${index}: Error`), 'CircuitOpenError']);
    expect(service.getStats()['payments']?.stats.fallbacks).toBe(7);
  });

  it('passes client errors on in spite of a fallback', async () => {
    const error = new ForbiddenException();
    const call = service.execute('payments', () => Promise.reject(error), { fallback: () => 'hidden' });
    await expect(call).rejects.toBe(error);
  });

  it('judges each call by its own filter', async () => {
    await failTimes(3);
    const options = { errorFilter: () => true };
    for (let times = 0; times < 10; times += 1) await outcomeOf(service.execute('payments', fail, options));
    expect(service.get('payments')?.closed).toBe(true);
  });

  it('judges a call without a filter by that of the circuit', async () => {
    service.create(succeed, config({ errorFilter: (error) => error === failure }));
    await failTimes(10);
    const withFallback = service.execute('payments', () => fail().then(String), { fallback: () => 'hidden' });
    await expect(withFallback).rejects.toBe(failure);
    expect(service.getStats()['payments']?.stats).toMatchObject({ failures: 0, successes: 11, fallbacks: 0 });
  });

  it('does not mix up callers', async () => {
    const answers = [pending<string>(), pending<string>()] as const;
    const calls = answers.map(({ promise }) => service.execute('payments', () => promise));
    answers[1].resolve('second');
    answers[0].resolve('first');
    await expect(Promise.all(calls)).resolves.toEqual(['first', 'second']);
  });
});

describe('configuration', () => {
  it('is copied: it may be frozen and is never written to', () => {
    const given = Object.freeze(config());
    service.create(succeed, given);
    expect(given).toEqual(config());
  });

  it('that contradicts the first one of its name is refused, naming both', () => {
    service.create(succeed, config({ timeout: '1s' }));
    expect(() => service.create(fail, config({ timeout: 1_000 }))).not.toThrow();
    const contradict = () => service.create(fail, config({ timeout: '2s', resetTimeout: '5s' }));
    expect(contradict).toThrow(InvalidOptionsError);
    expect(contradict).toThrow('timeout: is 1000 ms where the circuit was made, 2000 ms here');
    expect(() => service.create(fail, config({ timeout: false }))).toThrow(
      'timeout: is 1000 ms where the circuit was made, false here',
    );
    expect(() => service.create(fail, config({ volumeThreshold: 9 }))).toThrow(
      'volumeThreshold: is 4 where the circuit was made, 9 here',
    );
    expect(contradict).toThrow('resetTimeout: is 1000 ms where the circuit was made, 5000 ms here');
  });

  it('may be left out where the circuit is only used', async () => {
    service.create(succeed, config({ timeout: '1s' }));
    await expect(service.execute('payments', succeed)).resolves.toBe('fine');
  });

  it('may name other errors that do not count: each handle has its own', async () => {
    const isRange = (error: unknown) => error instanceof RangeError;
    service.create(succeed, config({ errorFilter: isRange, timeout: false }));
    const handle = service.create(() => Promise.reject<string>(failure), config({ errorFilter: () => true }));
    await expect(handle.fallback(() => 'hidden').fire()).rejects.toBe(failure);
    expect(service.getStats()['payments']).toMatchObject({ stats: { failures: 0 }, config: { timeout: false } });
  });

  it('that is wrong is refused with everything that is wrong', () => {
    const create = () => service.create(succeed, { name: '', timeout: -1, capacity: 0.5, retries: 3 } as never);
    for (const fault of ['name: must be', 'timeout: must be', 'capacity: must be', 'retries: unknown option']) {
      expect(create).toThrow(fault);
    }
    expect(() => service.create(succeed, {} as never)).toThrow('name: missing');
  });

  it.each([undefined, null, 5, 'payments', {}, []])('that is no configuration is refused: %j', (given) => {
    expect(() => service.create(succeed, given as never)).toThrow(InvalidOptionsError);
  });

  it.each([null, true, 'text', [], [5]])('with %j for options is refused, and nothing is counted', async (given) => {
    await expect(service.execute('payments', succeed, given as never)).rejects.toThrow('options: must be an object');
    expect(service.getStats()).not.toHaveProperty('payments');
  });

  it.each([undefined, null, 5, 'run', {}])(
    'of what is no function is refused, and nothing is counted: %j',
    async (given) => {
      expect(() => service.create(given as never, config())).toThrow('operation: must be a function');
      await expect(service.execute('payments', given as never)).rejects.toThrow('operation: must be a function');
      await expect(service.execute('payments', succeed, { fallback: (given ?? 1) as never })).rejects.toThrow(
        'fallback: must be',
      );
      expect(() => service.create(succeed, config({ name: 'other' })).fallback(given as never)).toThrow(
        'fallback: must be',
      );
      expect(service.getStats()).not.toHaveProperty('payments');
    },
  );

  it('with names made of data is refused in the end', () => {
    for (let index = 0; index < 1_000; index += 1) service.create(succeed, { name: `user ${index}` });
    expect(() => service.create(succeed, { name: 'user 1000' })).toThrow('names must not be made of data');
    expect(() => service.create(succeed, { name: 'user 1' })).not.toThrow();
  });

  it('may use the names of everything that objects have', async () => {
    await service.execute('__proto__', succeed);
    await service.execute('constructor', succeed);
    expect(Object.keys(service.getStats())).toEqual(['__proto__', 'constructor']);
  });
});

describe('operating circuits', () => {
  it('isolates one until it is closed, whatever time passes', async () => {
    const handle = service.create(succeed, config());
    expect(service.isolate('payments')).toBe(true);
    await pass(10 * RESET_MS);
    expect(handle.state).toBe('ISOLATED');
    expect([handle.opened, handle.halfOpen, handle.closed, handle.nextTryAt]).toEqual([true, false, false, null]);
    await expect(handle.fire()).rejects.toMatchObject({ code: 'KEEP_CIRCUIT_OPEN', retryAfterMs: RESET_MS });
    handle.open();
    expect(handle.state).toBe('ISOLATED');
    expect(service.close('payments')).toBe(true);
    await expect(handle.fire()).resolves.toBe('fine');
  });

  it('closes an isolated one, whatever ended while it was isolated', async () => {
    const answer = pending<string>();
    const late = service.execute('payments', () => answer.promise, { resetTimeout: RESET_MS });
    service.isolate('payments');
    await pass(RESET_MS);
    answer.resolve('late');
    await late;
    expect(service.get('payments')?.state).toBe('ISOLATED');
    service.close('payments');
    expect(service.get('payments')?.state).toBe('CLOSED');
  });

  it('isolates an open one, and closes it', async () => {
    const handle = await open();
    service.isolate('payments');
    await pass(RESET_MS);
    expect(handle.state).toBe('ISOLATED');
    service.close('payments');
    expect(handle.state).toBe('CLOSED');
  });

  describe('by letting every call through', () => {
    it('does so whatever comes of them, until it is closed', async () => {
      const handle = await open();
      expect(service.bypass('payments')).toBe(true);
      await failTimes(200);
      expect(handle.state).toBe('CLOSED');
      await expect(handle.fire()).resolves.toBe('fine');
      expect(service.getStats()['payments']).toMatchObject({ isBypassed: true, stats: { failures: 204, rejects: 0 } });
      service.close('payments');
      expect(service.getStats()['payments']?.isBypassed).toBe(false);
      await failTimes(4);
      expect(handle.state).toBe('OPEN');
    });

    it('ends when it is isolated', async () => {
      const handle = service.create(succeed, config());
      service.bypass('payments');
      service.isolate('payments');
      await expect(handle.fire()).rejects.toThrow(CircuitOpenError);
      expect(service.getStats()['payments']).toMatchObject({ state: 'ISOLATED', isBypassed: false });
    });
  });

  it('resets one, or all, with their statistics', async () => {
    await failTimes(10, 'a');
    await failTimes(10, 'b');
    expect(service.reset('a')).toBe(true);
    expect(service.getStats()['a']).toMatchObject({ state: 'CLOSED', stats: { fires: 0, failures: 0, p99Ms: 0 } });
    expect(service.getStats()['b']?.state).toBe('OPEN');
    service.resetAll();
    expect(service.getStats()['b']).toMatchObject({ state: 'CLOSED', stats: { fires: 0, rejects: 0 } });
    await failTimes(4, 'b');
    expect(service.get('b')?.closed).toBe(true);
  });

  it('forgets the failures of a closed one when it is reset', async () => {
    const handle = service.create(succeed, config());
    await failTimes(3);
    service.reset('payments');
    await failTimes(3);
    expect(handle.closed).toBe(true);
  });

  it('says when there is no such circuit', () => {
    const answers = [service.reset('x'), service.isolate('x'), service.close('x'), service.bypass('x')];
    expect(answers).toEqual([false, false, false, false]);
    expect(service.get('x')).toBeUndefined();
  });

  it('finds a circuit by its name, also one that has no operation of its own', async () => {
    const handle = service.create(succeed, config());
    service.create(fail, config());
    expect(service.get('payments')).toBe(handle);
    await service.execute('quotes', succeed);
    expect(service.get('quotes')).toBe(service.get('quotes'));
    await expect(service.get('quotes')?.fire(succeed)).resolves.toBe('fine');
  });

  it('shows how long calls take', async () => {
    const slow = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
    const calls = Array.from({ length: 98 }, () => service.execute('payments', () => slow(10)));
    calls.push(...[500, 500].map((ms) => service.execute('payments', () => slow(ms))));
    await pass(500);
    await Promise.all(calls);
    const { p50Ms, p99Ms } = service.getStats()['payments']!.stats;
    expect(Math.abs(p50Ms - 10)).toBeLessThan(1);
    expect(Math.abs(p99Ms - 500)).toBeLessThan(50);
  });
});

describe('changes of state', () => {
  it('are logged once each, with the reason', async () => {
    await open();
    await failTimes(50);
    await pass(RESET_MS);
    await service.execute('payments', succeed);
    service.isolate('payments');
    service.isolate('payments');
    service.close('payments');
    service.close('payments');
    expect(lines).toEqual([
      'warn Circuit "payments" is open: 4 of 4 calls within 10000 ms failed; calls are tried again in 1000 ms',
      'log Circuit "payments" is half-open: the break is over',
      'log Circuit "payments" is closed: a trial call succeeded',
      'warn Circuit "payments" is isolated: isolated by hand',
      'log Circuit "payments" is closed: closed by hand',
    ]);
  });

  it('are not logged for a quiet circuit', async () => {
    await open({ isQuiet: true });
    expect(lines).toEqual([]);
  });

  it('are told to listeners until they have had enough, even when one of them fails', async () => {
    const changes: CircuitChange[] = [];
    service.onStateChange(() => {
      throw new Error('secret');
    });
    const stop = service.onStateChange((change) => changes.push(change));
    await open();
    stop();
    await pass(RESET_MS);
    expect(changes).toEqual([
      {
        ...{ name: 'payments', from: 'CLOSED', to: 'OPEN', nextTryAt: Date.now() },
        reason: '4 of 4 calls within 10000 ms failed',
      },
    ]);
    expect(lines).toContain('warn A listener for circuit "payments" failed: Error');
  });

  it('and refusals are told to listeners until they have had enough', async () => {
    const refused: string[] = [];
    const stop = service.onRefusal((name) => refused.push(name));
    await open();
    expect(refused).toEqual([]);
    await failTimes(2);
    stop();
    await failTimes(2);
    expect(refused).toEqual(['payments', 'payments']);
  });

  it('cannot forge log lines by their name', async () => {
    const name = 'a\nb\u001b[31m';
    await failTimes(5, name);
    expect(lines[0]).toContain('Circuit "a\\nb\\u001b[31m" is open');
  });
});

describe('shutting down', () => {
  it('leaves no timer behind, and lets calls through from then on', async () => {
    await open();
    service.isolate('payments');
    service.onApplicationShutdown();
    expect(jest.getTimerCount()).toBe(0);
    await expect(service.execute('payments', succeed)).resolves.toBe('fine');
    await expect(service.execute('payments', fail)).rejects.toBe(failure);
    service.get('payments')!.open();
    expect(jest.getTimerCount()).toBe(0);
  });
});
