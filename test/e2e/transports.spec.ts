import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { applyDecorators, type INestApplication, SetMetadata, UseGuards } from '@nestjs/common';
import { ApiOperation, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import {
  Cacheable,
  CacheEvict,
  CachePut,
  CacheService,
  CircuitBreakerService,
  isLockConflictError,
  LockGuard,
  LockService,
  RateLimit,
  WithCircuitBreaker,
  WithLock,
} from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { type Answer, openOn, POSITIONS, type Reached, silenceErrors, TRANSPORTS } from '../support/transports.ts';

const LABEL = 'label';
let guarded = 0;
const guard = { canActivate: () => (guarded += 1) > 0 };

/** A class of its own for each application; what it has run is known by the method. */
const makeSubject = () =>
  class Subject {
    readonly runs: string[] = [];
    isDown = false;
    /** What a locked method waits for. */
    gate: Promise<void> = Promise.resolve();

    async cached(argument: string): Promise<string> {
      return this.run('cached', argument);
    }

    async evicting(argument: string): Promise<string> {
      return this.run('evicting', argument);
    }

    async putting(argument: string): Promise<string> {
      return this.run('putting', argument);
    }

    async breaking(argument: string): Promise<string> {
      return this.run('breaking', argument);
    }

    async falling(argument: string): Promise<string> {
      return this.run('falling', argument);
    }

    async limited(argument: string): Promise<string> {
      return this.run('limited', argument);
    }

    async locked(argument: string): Promise<string> {
      this.runs.push('locked');
      await this.gate;
      return `locked ${argument}`;
    }

    instead(argument: string, { message }: Error): string {
      this.runs.push(`instead: ${message}`);
      return `instead of ${argument}`;
    }

    timesOf(method: string): number {
      return this.runs.filter((run) => run === method).length;
    }

    private async run(method: string, argument: string): Promise<string> {
      this.runs.push(method);
      if (this.isDown) throw new Error('down');
      return Promise.resolve(`${method} ${argument}`);
    }
  };
const statusOf = (answer: Answer): unknown => (answer as { status?: number } | undefined)?.status;
const isRefusal = (answer: Answer): boolean => answer !== undefined && 'error' in answer;
type Subject = InstanceType<ReturnType<typeof makeSubject>>;

const TESTED = {
  cached: Cacheable('1m'),
  evicting: CacheEvict({ keys: 'evicted' }),
  putting: CachePut({ key: 'put' }),
  breaking: WithCircuitBreaker({ name: 'breaking', volumeThreshold: 3 }),
  falling: WithCircuitBreaker('falling', { fallback: 'instead' }),
  // A plain name would lock for each caller, and not every transport knows who calls.
  locked: WithLock({ key: 'locked' }),
  limited: RateLimit(2, '1h'),
} as Readonly<Record<string, MethodDecorator>>;

describe.each(TRANSPORTS)('$name', (transport) => {
  silenceErrors();
  const isRoute = transport.name.startsWith('a route');

  describe.each(POSITIONS)('with the decorator %s the others', (position) => {
    let reached: Reached;
    let subject: Subject;
    let cache: CacheService;
    let openGate = (): void => undefined;
    beforeAll(async () => {
      const type = makeSubject();
      reached = await openOn(transport, type, {
        ...{ tested: TESTED, position },
        beside: [UseGuards(guard), SetMetadata(LABEL, 'here'), ApiOperation({ summary: 'described' })],
      });
      subject = reached.app.get(type);
      cache = reached.app.get(CacheService);
    });
    afterEach(() => openGate());
    afterAll(() => reached.close());
    beforeEach(() => {
      guarded = 0;
      subject.runs.length = 0;
      subject.isDown = false;
    });
    const answered = (value: string) => (transport.hasCallers ? { value } : undefined);

    it('@Cacheable runs the method once', async () => {
      expect(await reached.call('cached', 'a')).toEqual(answered('cached a'));
      expect(await reached.call('cached', 'a')).toEqual(answered('cached a'));
      expect(subject.timesOf('cached')).toBe(1);
    });

    it('@CacheEvict removes the entry', async () => {
      await cache.set('evicted', 1);
      expect(await reached.call('evicting', 'a')).toEqual(answered('evicting a'));
      expect(await cache.get('evicted')).toBeUndefined();
    });

    it('@CachePut stores the result', async () => {
      expect(await reached.call('putting', 'a')).toEqual(answered('putting a'));
      expect(await cache.get('put')).toMatch(/^putting/);
    });

    it('@WithCircuitBreaker refuses calls while the circuit is open', async () => {
      expect(await reached.call('breaking', 'a')).toEqual(answered('breaking a'));
      subject.isDown = true;
      for (let times = 0; times < 5; times++) await reached.call('breaking', 'a');
      expect(subject.timesOf('breaking')).toBe(3);
      expect(reached.app.get(CircuitBreakerService).getStats()['breaking']).toMatchObject({
        state: 'OPEN',
        stats: { fires: 6, successes: 1, failures: 2, rejects: 3 },
      });
    });

    it('@WithCircuitBreaker answers by its fallback', async () => {
      subject.isDown = true;
      expect(await reached.call('falling', 'a')).toEqual(answered('instead of a'));
      expect(subject.runs).toEqual(['falling', 'instead: down']);
    });

    it('@WithLock lets one call in at a time, and the next one when it has ended', async () => {
      subject.gate = new Promise((resolve) => (openGate = resolve));
      const first = reached.call('locked', 'a');
      await eventually(() => subject.timesOf('locked') === 1);
      const second = await reached.call('locked', 'b');
      const direct = await subject.locked('b').catch((error: unknown) => error);
      const isRefused = transport.hasCallers ? isRefusal(second) : isLockConflictError(direct);
      expect(isRefused).toBe(true);
      expect(isRoute && statusOf(second)).toBe(isRoute && 409);
      expect(subject.timesOf('locked')).toBe(1);
      openGate();
      expect(await first).toEqual(answered('locked a'));
      expect(await reached.call('locked', 'c')).toEqual(answered('locked c'));
      expect(await reached.app.get(LockService).isHeld('locked')).toBe(false);
    });

    it('@RateLimit refuses calls over the limit', async () => {
      const answers = [];
      for (let times = 0; times < 3; times++) answers.push(await reached.call('limited', 'a'));
      expect(answers.slice(0, 2)).toEqual([answered('limited a'), answered('limited a')]);
      expect(isRefusal(answers[2])).toBe(transport.hasCallers);
      expect(isRoute && statusOf(answers[2])).toBe(isRoute && 429);
      expect(subject.timesOf('limited')).toBe(2);
    });

    it('leaves guards and metadata in their place', async () => {
      await reached.call('falling', 'a');
      expect(guarded).toBe(transport.hasCallers ? 1 : 0);
      for (const method of Object.keys(TESTED)) {
        const handler = Reflect.get(subject, method) as (...args: unknown[]) => unknown;
        expect([handler.name, handler.length]).toEqual([method, 1]);
        expect(Reflect.getMetadata(LABEL, handler)).toBe(transport.hasCallers ? 'here' : undefined);
      }
    });
  });
});

const deny = { canActivate: () => false };
const GUARDED = {
  locked: applyDecorators(WithLock({ key: 'locked' }) as MethodDecorator, UseGuards(LockGuard)),
  cached: applyDecorators(WithLock({ key: 'denied' }) as MethodDecorator, UseGuards(LockGuard, deny)),
};

describe.each(TRANSPORTS.filter(({ hasCallers }) => hasCallers))('LockGuard: $name', (transport) => {
  silenceErrors();
  let reached: Reached;
  let subject: Subject;
  let locks: LockService;
  let openGate = (): void => undefined;
  beforeAll(async () => {
    const type = makeSubject();
    reached = await openOn(transport, type, { tested: GUARDED, position: 'above' });
    subject = reached.app.get(type);
    locks = reached.app.get(LockService);
  });
  afterAll(async () => {
    openGate();
    await reached.close();
  });

  it('hands its lock over to the handler, which gives it back when it has ended', async () => {
    subject.gate = new Promise((resolve) => (openGate = resolve));
    const first = reached.call('locked', 'a');
    await eventually(() => subject.timesOf('locked') === 1);
    // Longer than a lock waits for its handler.
    await sleep(1_100);
    expect(isRefusal(await reached.call('locked', 'b'))).toBe(true);
    expect([subject.timesOf('locked'), await locks.isHeld('locked')]).toEqual([1, true]);
    openGate();
    expect(await first).toEqual({ value: 'locked a' });
    await eventually(async () => !(await locks.isHeld('locked')));
    expect(await reached.call('locked', 'c')).toEqual({ value: 'locked c' });
  });

  it('gives its lock back when a later guard denies: with the answer, where there is one', async () => {
    const hasAnswer = !/gateway|microservice/.test(transport.name);
    expect(isRefusal(await reached.call('cached', 'a'))).toBe(true);
    expect(locks.getMetrics().acquired).toBe(3);
    await eventually(async () => !(await locks.isHeld('denied')), { withinMs: hasAnswer ? 900 : 10_000 });
    expect(subject.timesOf('cached')).toBe(0);
  });
});

describe('the OpenAPI document', () => {
  it.each(POSITIONS)('describes routes with the decorators %s the others', async (position) => {
    const [express] = TRANSPORTS;
    const reached = await openOn(express!, makeSubject(), {
      ...{ tested: TESTED, position, beside: [ApiOperation({ summary: 'described' })] },
    });
    const { paths } = SwaggerModule.createDocument(reached.app as INestApplication, new DocumentBuilder().build());
    await reached.close();
    expect(Object.keys(paths).sort()).toEqual(
      Object.keys(TESTED)
        .map((method) => `/subject/${method}`)
        .sort(),
    );
    for (const path of Object.values(paths)) {
      expect(path.get).toMatchObject({ summary: 'described', parameters: [{ name: 'argument', in: 'query' }] });
    }
  });
});
