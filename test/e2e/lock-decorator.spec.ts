import 'reflect-metadata';
import { once } from 'node:events';
import { request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import {
  Body,
  type CallHandler,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  type INestApplication,
  Inject,
  Injectable,
  type NestInterceptor,
  Param,
  Post,
  Query,
  Scope,
  Sse,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { APP_GUARD, REQUEST } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import { Observable, timeout } from 'rxjs';
import request from 'supertest';
import type { App } from 'supertest/types.js';
import {
  Cacheable,
  CacheModule,
  currentLock,
  CurrentLock,
  InvalidOptionsError,
  isLockConflictError,
  type Lock,
  LockGuard,
  LockService,
  WithLock,
} from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';
import { openOn, POSITIONS, silenceErrors, TRANSPORTS } from '../support/transports.ts';

/** What handlers wait for, and how far they are. */
class Gates {
  entered = 0;
  ended = 0;
  #open: () => void = () => undefined;
  #gate: Promise<void> = Promise.resolve();

  shut(): void {
    this.entered = this.ended = 0;
    this.#gate = new Promise((resolve) => (this.#open = resolve));
  }

  open(): void {
    this.#open();
  }

  async pass<T>(value: T): Promise<T> {
    this.entered += 1;
    await this.#gate;
    this.ended += 1;
    return value;
  }
}
const gates = new Gates();

/** Says who is calling, from a header. */
@Injectable()
class UserGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const call = context.switchToHttp().getRequest<{ headers: Record<string, string>; user?: object }>();
    if (call.headers['x-user'] !== undefined) call.user = { id: call.headers['x-user'] };
    return true;
  }
}

const denying: CanActivate = { canActivate: () => false };

/** Takes its time, and then denies. */
const slowToDeny: CanActivate = { canActivate: () => gates.pass(false) };

const impatient: NestInterceptor = {
  intercept: (_: ExecutionContext, next: CallHandler) => next.handle().pipe(timeout(50)),
};

@Controller('orders')
class Orders {
  @Post()
  @WithLock('order:create', 10_000)
  async create(@CurrentLock() lock: Lock | undefined): Promise<object> {
    return gates.pass({ fence: lock?.fence, isSame: currentLock() === lock });
  }

  @Post('waiting')
  @WithLock({ key: 'waiting', wait: '10s' })
  async waiting(): Promise<string> {
    return gates.pass('waited');
  }

  @Post('pay')
  @WithLock({ key: 'payment:process:{body.orderId}', ttl: '10s', conflictStatus: 423 })
  async pay(@Body() body: { orderId: string }): Promise<string> {
    return gates.pass(body.orderId);
  }

  @Post('named/:id')
  @WithLock({ key: 'named:{params.id}:{query.part}:{user.id}' })
  async named(@Param('id') id: string, @Query('part') part: string): Promise<string> {
    return gates.pass(`${id} ${part}`);
  }

  @Post('denied')
  @UseGuards(denying)
  @WithLock('denied')
  async denied(): Promise<string> {
    return gates.pass('never');
  }

  @Post('impatient')
  @UseInterceptors(impatient)
  @WithLock({ key: 'impatient' })
  async impatient(): Promise<string> {
    return gates.pass('late');
  }

  @Post('impatient-outside')
  @WithLock({ key: 'impatient' })
  @UseInterceptors(impatient)
  async impatientOutside(): Promise<string> {
    return gates.pass('late');
  }

  @Post('guarded')
  @UseGuards(LockGuard)
  @WithLock({ key: 'guarded' })
  async guarded(@CurrentLock() lock: Lock): Promise<number> {
    return gates.pass(lock.fence);
  }

  @Post('guarded-denied')
  @UseGuards(LockGuard, denying)
  @WithLock({ key: 'guarded:denied' })
  async guardedDenied(): Promise<string> {
    return gates.pass('never');
  }

  @Post('guarded-denied-slowly')
  @UseGuards(LockGuard, slowToDeny)
  @WithLock({ key: 'guarded:denied-slowly' })
  async guardedDeniedSlowly(): Promise<string> {
    return Promise.resolve('never');
  }

  @Post('failing')
  @WithLock({ key: 'failing' })
  async failing(): Promise<string> {
    return Promise.reject(new Error('no stock'));
  }

  @Post('short')
  @WithLock({ key: 'short', ttl: '60ms', extend: false })
  async short(): Promise<string> {
    return gates.pass('late');
  }

  @Post('by-argument')
  @WithLock({ key: 'argument:{0.id}' })
  async byArgument(@Body() order: { id: string }): Promise<string> {
    return gates.pass(order.id);
  }

  @Get('cached')
  @Cacheable('1m')
  @WithLock({ key: 'cached' })
  async cached(): Promise<string> {
    return gates.pass('cached');
  }

  @Sse('events')
  @WithLock({ key: 'events' })
  events(): Observable<MessageEvent> {
    gates.entered += 1;
    return new Observable((subscriber) => {
      subscriber.next({ data: 'first' } as MessageEvent);
      return () => void (gates.ended += 1);
    });
  }
}

const portOf = (app: INestApplication<App>): number => ((app.getHttpServer() as Server).address() as AddressInfo).port;

describe.each(PLATFORMS)('@WithLock on routes of %s', (platform) => {
  silenceErrors();
  let app: INestApplication<App>;
  let locks: LockService;
  beforeAll(async () => {
    app = await openHttpApp({
      platform,
      controllers: [Orders],
      providers: [{ provide: APP_GUARD, useClass: UserGuard }],
    });
    await app.listen(0, HOST);
    locks = app.get(LockService);
  });
  beforeEach(() => gates.shut());
  afterEach(() => gates.open());
  afterAll(() => app.close());

  const post = (path: string, user?: string, body: object = {}) => {
    const call = request(app.getHttpServer()).post(`/orders${path}`);
    return (user === undefined ? call : call.set('x-user', user)).send(body);
  };
  /** A request that is on its way, and its answer later. */
  const start = (call: ReturnType<typeof post>) => call.then((response) => response);
  const entered = (count: number) => eventually(() => gates.entered === count);
  const isFree = (resource: string) => eventually(async () => !(await locks.isHeld(resource)));

  it('lets one call of a user in at a time, and others in beside it', async () => {
    const first = start(post('', 'alice'));
    await entered(1);
    expect(await locks.isHeld('order:create:alice')).toBe(true);
    const refused = await post('', 'alice');
    expect([refused.status, gates.entered]).toEqual([409, 1]);
    const other = start(post('', 'bob'));
    await entered(2);
    gates.open();
    expect((await first).body).toEqual({ fence: expect.any(Number) as number, isSame: true });
    expect((await other).status).toBe(201);
    expect(await locks.isHeld('order:create:alice')).toBe(false);
    expect((await post('', 'alice')).status).toBe(201);
  });

  it('goes by the address of who is not known', async () => {
    const first = start(post(''));
    await entered(1);
    expect(await locks.isHeld(`order:create:${HOST}`)).toBe(true);
    expect((await post('')).status).toBe(409);
    expect(await locks.isHeld('order:create')).toBe(false);
    gates.open();
    await first;
  });

  it('explains a conflict, and says when to come back', async () => {
    const first = start(post('', 'alice'));
    await entered(1);
    const { headers, body } = (await post('', 'alice')) as { headers: Record<string, string>; body: object };
    expect(headers['content-type']).toMatch(/^application\/problem\+json/);
    expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(9);
    expect(Number(headers['retry-after'])).toBeLessThanOrEqual(10);
    expect(body).toMatchObject({ status: 409, statusCode: 409, lock: 'order:create', code: 'KEEP_LOCK_CONFLICT' });
    expect((body as { type: string }).type).toMatch(/#lock-conflict$/);
    expect(JSON.stringify(body)).not.toContain('alice');
    gates.open();
    await first;
  });

  it('never says less than a second nor more than half a minute', async () => {
    const lock = await locks.acquire('payment:process:7', { ttl: '5m' });
    const { status, headers } = await post('/pay', 'alice', { orderId: 7 });
    expect([status, headers['retry-after']]).toEqual([423, '30']);
    await lock.release();
    const short = await locks.acquire('payment:process:7', { ttl: '100ms' });
    expect((await post('/pay', 'alice', { orderId: 7 })).headers['retry-after']).toBe('1');
    await short.release();
  });

  it('waits for the holder where it is told to', async () => {
    const calls = [start(post('/waiting')), start(post('/waiting'))];
    await entered(1);
    await sleep(50);
    expect(gates.entered).toBe(1);
    gates.open();
    expect((await Promise.all(calls)).map(({ text }) => text)).toEqual(['waited', 'waited']);
  });

  it('fills templates from the request, and answers 400 for what the client left out', async () => {
    const first = start(post('/named/7?part=a', 'alice'));
    await entered(1);
    expect(await locks.isHeld('named:7:a:alice')).toBe(true);
    const [missing, noBody, noUser] = [
      await post('/named/7', 'alice'),
      await post('/pay', 'alice'),
      await post('/named/7?part=a'),
    ];
    expect([missing.status, noBody.status, noUser.status, gates.entered]).toEqual([400, 400, 500, 1]);
    // Nothing that waiting would change.
    for (const { headers } of [missing, noBody, noUser]) expect(headers['retry-after']).toBeUndefined();
    gates.open();
    await first;
  });

  it('names nobody else by an id that holds separators', async () => {
    const first = start(post('/pay', 'alice', { orderId: 'a:*' }));
    await entered(1);
    expect(await locks.isHeld('payment:process:a%3A%2A')).toBe(true);
    gates.open();
    await first;
  });

  it('takes nothing when a guard denies', async () => {
    expect((await post('/denied', 'alice')).status).toBe(403);
    expect(await locks.isHeld('denied:alice')).toBe(false);
    expect(locks.getMetrics().held).toBe(0);
  });

  it('is given back when the handler fails', async () => {
    expect((await post('/failing')).status).toBe(500);
    expect(await locks.isHeld('failing')).toBe(false);
  });

  it('is held until the handler has ended, not until the client hangs up', async () => {
    const port = portOf(app);
    const call = httpRequest({ port, host: HOST, path: '/orders', method: 'POST', headers: { 'x-user': 'carol' } });
    call.on('error', () => undefined).end();
    await entered(1);
    call.destroy();
    await sleep(60);
    expect((await post('', 'carol')).status).toBe(409);
    gates.open();
    await isFree('order:create:carol');
  });

  it.each(['', '-outside'])(
    'is held until the handler has ended, when an interceptor%s loses patience',
    async (where) => {
      expect((await post(`/impatient${where}`)).status).toBe(500);
      expect([gates.ended, await locks.isHeld('impatient')]).toEqual([0, true]);
      gates.open();
      await isFree('impatient');
      expect(gates.ended).toBe(1);
    },
  );

  it('fails with 503 when it was lost before the handler ended', async () => {
    const call = start(post('/short'));
    await entered(1);
    await sleep(80);
    gates.open();
    const { status, body } = (await call) as { status: number; body: unknown };
    expect([status, body]).toEqual([503, expect.objectContaining({ code: 'KEEP_LOCK_LOST' })]);
  });

  it('can be named by an argument, after pipes', async () => {
    const first = start(post('/by-argument', 'alice', { id: 'x' }));
    await entered(1);
    expect(await locks.isHeld('argument:x')).toBe(true);
    expect((await post('/by-argument', 'bob', { id: 'x' })).status).toBe(409);
    gates.open();
    expect((await first).text).toBe('x');
  });

  it('is not needed for what is answered from the cache', async () => {
    gates.open();
    const get = () => request(app.getHttpServer()).get('/orders/cached');
    expect((await get()).text).toBe('cached');
    const lock = await locks.acquire('cached');
    expect((await get()).text).toBe('cached');
    await lock.release();
  });

  it('is held for as long as a stream is listened to', async () => {
    const port = portOf(app);
    const call = httpRequest({ port, host: HOST, path: '/orders/events' });
    call.on('error', () => undefined).end();
    const [response] = (await once(call, 'response')) as [NodeJS.ReadableStream];
    await once(response, 'data');
    expect(await locks.isHeld('events')).toBe(true);
    call.destroy();
    await isFree('events');
  });

  describe('with LockGuard', () => {
    it('refuses before the handler and hands its lock over to it', async () => {
      const first = start(post('/guarded'));
      await entered(1);
      const refused = await post('/guarded');
      expect([refused.status, refused.headers['retry-after'], gates.entered]).toEqual([409, '30', 1]);
      expect(refused.headers['content-type']).toMatch(/^application\/problem\+json/);
      gates.open();
      expect(Number((await first).text)).toBeGreaterThan(0);
      await isFree('guarded');
    });

    it('holds on while the handler runs, also when the client hangs up', async () => {
      const port = portOf(app);
      const call = httpRequest({ port, host: HOST, path: '/orders/guarded', method: 'POST' });
      call.on('error', () => undefined).end();
      await entered(1);
      call.destroy();
      await sleep(60);
      expect(await locks.isHeld('guarded')).toBe(true);
      gates.open();
      await isFree('guarded');
    });

    it('gives back what it holds for a client that hangs up while a later guard decides', async () => {
      const port = portOf(app);
      const call = httpRequest({ port, host: HOST, path: '/orders/guarded-denied-slowly', method: 'POST' });
      call.on('error', () => undefined).end();
      await entered(1);
      expect(await locks.isHeld('guarded:denied-slowly')).toBe(true);
      call.destroy();
      await isFree('guarded:denied-slowly');
      gates.open();
    });

    it('gives back at once what a later guard makes useless', async () => {
      expect((await post('/guarded-denied')).status).toBe(403);
      await eventually(async () => !(await locks.isHeld('guarded:denied')), { withinMs: 900 });
      expect(gates.entered).toBe(0);
    });
  });
});

describe('@WithLock on methods of providers', () => {
  @Injectable()
  class Jobs {
    @WithLock('nightly', '10s')
    async nightly(): Promise<Lock | undefined> {
      return gates.pass(currentLock());
    }

    @WithLock({ key: 'user:{user.id}:{1}', wait: '5s' })
    async forUser(user: { id: string }, kind: string): Promise<string> {
      return gates.pass(`${user.id} ${kind}`);
    }

    async throughThis(): Promise<unknown> {
      return this.nightly();
    }

    @WithLock('nightly')
    async nested(): Promise<unknown> {
      return this.nightly();
    }

    @WithLock('stream')
    streamed(): Observable<number> {
      return new Observable((subscriber) => void setTimeout(() => subscriber.complete(), 30));
    }
  }
  @Injectable({ scope: Scope.REQUEST })
  class PerRequest extends Jobs {
    @Inject(REQUEST) readonly request: unknown;
  }
  @Injectable({ scope: Scope.TRANSIENT })
  class PerConsumer extends Jobs {}

  let module: TestingModule;
  let locks: LockService;
  beforeAll(async () => {
    const providers = [Jobs, PerRequest, PerConsumer, { provide: 'made', useFactory: () => new Jobs() }];
    module = await Test.createTestingModule({ imports: [CacheModule.forRoot()], providers }).compile();
    await module.init();
    locks = module.get(LockService);
  });
  beforeEach(() => gates.shut());
  afterAll(() => module.close());

  const instances: Record<string, () => Promise<Jobs>> = {
    'a singleton': async () => Promise.resolve(module.get(Jobs)),
    'an instance of a request': () => module.resolve(PerRequest),
    'an instance of a consumer': () => module.resolve(PerConsumer),
    'what a factory made': async () => Promise.resolve(module.get<Jobs>('made')),
  };

  it.each(Object.entries(instances))('lets one caller in at a time: %s', async (_, instance) => {
    const jobs = await instance();
    const first = jobs.nightly();
    await eventually(() => gates.entered === 1);
    expect(await locks.isHeld('nightly')).toBe(true);
    const refusal = await jobs.throughThis().catch((error: unknown) => error);
    expect(isLockConflictError(refusal)).toBe(true);
    gates.open();
    expect(await first).toMatchObject({ resource: 'nightly' });
    expect(await locks.isHeld('nightly')).toBe(false);
    expect(currentLock()).toBeUndefined();
  });

  it('is named by the arguments, and waits where it is told to', async () => {
    const jobs = module.get(Jobs);
    const calls = [jobs.forUser({ id: 'u1' }, 'a'), jobs.forUser({ id: 'u1' }, 'a')];
    await eventually(() => gates.entered === 1);
    expect(await locks.isHeld('user:u1:a')).toBe(true);
    gates.open();
    expect(await Promise.all(calls)).toEqual(['u1 a', 'u1 a']);
  });

  it.each([[{ id: '' }], [{}], [undefined]])('does not run for nobody in particular: %j', async (user) => {
    await expect(module.get(Jobs).forUser(user as { id: string }, 'a')).rejects.toThrow(/Jobs\.forUser: key/);
    expect(gates.entered).toBe(0);
  });

  it('does not wait for itself', async () => {
    await expect(module.get(Jobs).nested()).rejects.toMatchObject({ code: 'KEEP_LOCK_REENTRANCE' });
    expect(await locks.isHeld('nightly')).toBe(false);
  });

  it('is held until a stream has ended', async () => {
    // A decorated method answers later, whatever it returned before.
    const streamed: () => Promise<Observable<number>> = Reflect.get(module.get(Jobs), 'streamed') as never;
    const stream = await streamed.call(module.get(Jobs));
    expect(await locks.isHeld('stream')).toBe(true);
    await new Promise<void>((done) => stream.subscribe({ complete: done }));
    await eventually(async () => !(await locks.isHeld('stream')));
  });

  it('does not run without the module', async () => {
    await expect(new Jobs().nightly()).rejects.toThrow(/Jobs\.nightly does not run without its @WithLock/);
    const alone = await Test.createTestingModule({ controllers: [Orders], providers: [Jobs] }).compile();
    await expect(alone.get(Jobs).nightly()).rejects.toThrow(InvalidOptionsError);
    await expect(alone.get(Orders).create(undefined)).rejects.toThrow(InvalidOptionsError);
    expect(gates.entered).toBe(0);
  });

  it('does not run a handler that is called by hand under the lock of nobody', async () => {
    const withOrders = await Test.createTestingModule({
      imports: [CacheModule.forRoot()],
      controllers: [Orders],
    }).compile();
    await withOrders.init();
    await expect(withOrders.get(Orders).create(undefined)).rejects.toThrow(/Orders\.create: key/);
    await expect(withOrders.get(Orders).named('7', 'a')).rejects.toThrow(/Orders\.named: key/);
    gates.open();
    expect(await withOrders.get(Orders).pay({ orderId: '1' })).toBe('1');
    await withOrders.close();
  });
});

describe('@WithLock that is wrong', () => {
  type Given = Parameters<typeof WithLock>;
  const decorate = (...given: Given) => {
    class Jobs {
      async run(id: string): Promise<string> {
        return Promise.resolve(id);
      }
    }
    const descriptor = Object.getOwnPropertyDescriptor(Jobs.prototype, 'run')!;
    (WithLock as (...given: unknown[]) => MethodDecorator)(...given)(Jobs.prototype, 'run', descriptor);
    Object.defineProperty(Jobs.prototype, 'run', descriptor);
    return Jobs;
  };

  it.each([
    [['', 1_000], 'key'],
    [['a', 0], 'ttl'],
    [['a', 1e9], 'ttl'],
    [['a', '11m'], 'ttl'],
    [[{ ttl: '1s' }], 'key'],
    [[{ key: 'a', wait: 5 }], 'wait'],
    [[{ key: 'a', conflictStatus: 418 }], 'conflictStatus'],
    [[{ key: 'a', retryCount: 3 }], 'retryCount'],
    [[{ key: 'a', unknown: 1 }], 'unknown'],
    [[{ key: 'a:{nobody.id}' }], 'key'],
    [[{ key: 'a:{id' }], 'key'],
    [[{ key: 'a:{id}:{body.x}' }], 'key'],
    [[null], ''],
  ])('is refused when the class is defined: %j', (given, option) => {
    const define = () => decorate(...(given as unknown as Given));
    expect(define).toThrow(InvalidOptionsError);
    expect(define).toThrow(new RegExp(`Jobs\\.run[^]*${option}`));
  });

  it('is refused at start-up where only a request could tell the key', async () => {
    const Jobs = decorate({ key: 'a:{body.x}' });
    const starting = Test.createTestingModule({ imports: [CacheModule.forRoot()], providers: [Jobs] })
      .compile()
      .then((module) => module.init());
    await expect(starting).rejects.toThrow(/Jobs\.run: key: \{body\.x\}/);
  });
});

describe.each(TRANSPORTS)('@WithLock on $name', (transport) => {
  silenceErrors();
  const makeSubject = () =>
    class Subject {
      runs = 0;
      wasLocked = false;

      async locked(argument: string): Promise<string> {
        this.runs += 1;
        this.wasLocked = currentLock() !== undefined;
        return Promise.resolve(argument);
      }
    };

  it.each(POSITIONS)('lets nobody in while somebody holds the lock, %s other decorators', async (position) => {
    const type = makeSubject();
    const tested = { locked: WithLock({ key: 'subject', ttl: '20s' }) as MethodDecorator };
    const reached = await openOn(transport, type, { tested, position, beside: [UseGuards(LockGuard)] });
    try {
      const subject = reached.app.get(type);
      const locks = reached.app.get(LockService);
      const answered = transport.hasCallers ? { value: 'a' } : undefined;
      expect(await reached.call('locked', 'a')).toEqual(answered);
      expect([subject.runs, subject.wasLocked]).toEqual([1, true]);
      await eventually(async () => !(await locks.isHeld('subject')));
      const lock = await locks.acquire('subject');
      const refused = await reached.call('locked', 'a').catch(() => undefined);
      expect(subject.runs).toBe(1);
      const told = transport.hasCallers ? /Somebody else|no answer/ : /^undefined$/;
      expect(inspect(refused)).toMatch(told);
      await lock.release();
    } finally {
      await reached.close();
    }
  });
});
