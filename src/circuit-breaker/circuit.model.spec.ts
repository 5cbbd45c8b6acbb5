import fc from 'fast-check';
import { Circuit } from './circuit.ts';
import type { CircuitState } from './circuit.stats.ts';

const RESET_MS = 1_000;
const VOLUME = 3;
const THRESHOLD = 50;
const neutral = new Error('neutral');
const failure = new Error('failure');

type Outcome = 'success' | 'failure' | 'neutral';

/** The state table, written down plainly. */
class Model {
  state: CircuitState = 'CLOSED';
  now = 0;
  private isIsolated = false;
  private underlying: Exclude<CircuitState, 'ISOLATED'> = 'CLOSED';
  private openedAt = 0;
  private trials = 0;
  private failures = 0;
  private calls = 0;
  era = 0;

  constructor(private readonly maxTrials: number) {}

  /** Whether a call is let through. */
  call(): boolean {
    if (this.state !== 'HALF_OPEN') return this.state === 'CLOSED';
    this.trials += 1;
    return this.trials <= this.maxTrials;
  }

  end(outcome: Outcome, era: number): void {
    const isCurrent = era === this.era;
    if (this.state === 'HALF_OPEN' && !isCurrent) return;
    if (this.state === 'HALF_OPEN') this.move(outcome === 'failure' ? 'OPEN' : 'CLOSED');
    else this.count(outcome, isCurrent);
  }

  private count(outcome: Outcome, isCurrent: boolean): void {
    this.calls += 1;
    if (outcome !== 'failure') return;
    this.failures += 1;
    const isTooMuch = this.calls >= VOLUME && (this.failures / this.calls) * 100 > THRESHOLD;
    if (this.state === 'CLOSED' && isCurrent && isTooMuch) this.move('OPEN');
  }

  pass(ms: number): void {
    this.now += ms;
    if (this.underlying === 'OPEN' && this.now >= this.openedAt + RESET_MS) this.move('HALF_OPEN');
  }

  open(): void {
    if (this.underlying !== 'OPEN') this.move('OPEN');
  }

  isolate(): void {
    this.isIsolated = true;
    this.open();
    this.show();
  }

  close(): void {
    this.isIsolated = false;
    if (this.underlying !== 'CLOSED') this.move('CLOSED');
  }

  private move(to: Exclude<CircuitState, 'ISOLATED'>): void {
    this.underlying = to;
    if (to === 'OPEN') this.openedAt = this.now;
    this.show();
  }

  private show(): void {
    const state = this.isIsolated ? 'ISOLATED' : this.underlying;
    if (state === this.state) return;
    this.state = state;
    this.era += 1;
    this.trials = 0;
    if (state === 'CLOSED') this.calls = this.failures = 0;
  }
}

/** A call that has begun and is settled by a later command. */
interface Running {
  readonly era: number;
  readonly settle: (outcome: Outcome) => void;
  readonly settled: Promise<unknown>;
}

interface Real {
  readonly circuit: Circuit;
  readonly running: Running[];
}

type Command = fc.AsyncCommand<Model, Real>;

function command(name: string, run: (model: Model, real: Real) => Promise<void>): Command {
  return {
    check: () => true,
    run: async (model, real) => {
      await run(model, real);
      expect(real.circuit.machine.state).toBe(model.state);
    },
    toString: () => name,
  };
}

/** Begins a call and checks that it is let through exactly when the model says so. */
async function begin(model: Model, { circuit, running }: Real): Promise<void> {
  const { era } = model;
  const isAdmitted = model.call();
  let settle: Running['settle'] | undefined;
  const operation = () =>
    new Promise<void>((resolve, reject) => {
      settle = (outcome) => (outcome === 'success' ? resolve() : reject(outcome === 'neutral' ? neutral : failure));
    });
  const settled = circuit.run(operation).catch((error: unknown) => error);
  expect(settle !== undefined).toBe(isAdmitted);
  if (settle === undefined) expect(await settled).toMatchObject({ code: 'KEEP_CIRCUIT_OPEN' });
  else running.push({ era, settle, settled });
}

async function end(model: Model, { running }: Real, pick: number, outcome: Outcome): Promise<void> {
  const [call] = running.splice(pick % Math.max(running.length, 1), 1);
  if (call === undefined) return;
  call.settle(outcome);
  await call.settled;
  model.end(outcome, call.era);
}

const outcome = fc.constantFrom<Outcome[]>('success', 'failure', 'failure', 'failure', 'neutral');

const commands = [
  outcome.map((how) =>
    command(`call: ${how}`, async (model, real) => {
      const before = real.running.length;
      await begin(model, real);
      if (real.running.length > before) await end(model, real, before, how);
    }),
  ),
  fc.constant(command('begin', begin)),
  fc.tuple(fc.nat(20), outcome).map(([pick, how]) => command(`end ${pick}: ${how}`, (m, r) => end(m, r, pick, how))),
  fc.integer({ min: 1, max: 700 }).map((ms) =>
    command(`pass ${ms} ms`, async (model) => {
      await jest.advanceTimersByTimeAsync(ms);
      model.pass(ms);
    }),
  ),
  ...(['open', 'isolate', 'close'] as const).map((act) =>
    fc.constant(
      command(act, async (model, { circuit }) => {
        if (act === 'open') circuit.machine.open('opened by hand');
        else circuit.machine[act]();
        model[act]();
      }),
    ),
  ),
];

describe('I18: the state table of a circuit', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it.each([1, 3])('holds for any history of calls, outcomes, time and hands, with %i trials', async (maxTrials) => {
    await fc.assert(
      fc.asyncProperty(fc.commands(commands, { maxCommands: 60, size: 'max' }), async (history) => {
        const legal: string[] = [];
        const circuit = new Circuit(
          {
            ...{ name: 'model', timeoutMs: null, capacity: Infinity, isQuiet: true, windowMs: 600_000 },
            ...{ errorThresholdPercentage: THRESHOLD, volumeThreshold: VOLUME, resetTimeoutMs: RESET_MS },
            halfOpenMaxCalls: maxTrials,
            errorFilter: (error) => error === neutral,
          },
          ({ from, to }) => legal.push(`${from} → ${to}`),
        );
        const setup = () => ({ model: new Model(maxTrials), real: { circuit, running: [] } });
        try {
          await fc.asyncModelRun(setup, history);
        } finally {
          circuit.machine.shutdown();
        }
        expect(legal.filter((move) => !LEGAL.has(move))).toEqual([]);
      }),
      { numRuns: 300 },
    );
  });
});

const LEGAL = new Set([
  'CLOSED → OPEN',
  'OPEN → HALF_OPEN',
  'HALF_OPEN → OPEN',
  'HALF_OPEN → CLOSED',
  // By hand:
  ...['CLOSED → ISOLATED', 'OPEN → ISOLATED', 'HALF_OPEN → ISOLATED', 'ISOLATED → CLOSED', 'OPEN → CLOSED'],
]);
