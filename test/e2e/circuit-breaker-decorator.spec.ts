import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import {
  type ArgumentsHost,
  BadRequestException,
  type CanActivate,
  Catch,
  Controller,
  type ExceptionFilter,
  Get,
  type HttpException,
  Inject,
  Injectable,
  type MiddlewareConsumer,
  Module,
  type NestModule,
  Param,
  RequestMethod,
  Res,
  Scope,
  ServiceUnavailableException,
  type Type,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import { LazyModuleLoader, REQUEST } from '@nestjs/core';
import { Test, type TestingModule } from '@nestjs/testing';
import request from 'supertest';
import {
  Cacheable,
  CacheModule,
  type CacheModuleOptions,
  CircuitBreakerService,
  CircuitOpenError,
  isCircuitOpenError,
  isCircuitTimeoutError,
  WithCircuitBreaker,
} from '../../src/index.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';

type Providers = NonNullable<Parameters<typeof Test.createTestingModule>[0]['providers']>;

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const app of opened.splice(0)) await app.close();
});

async function open(providers: Providers, options: CacheModuleOptions = { redis: false }): Promise<TestingModule> {
  const module = await Test.createTestingModule({ imports: [CacheModule.forRoot(options)], providers }).compile();
  opened.push(module);
  return module.init();
}
const openWith = async <T>(type: Type<T>): Promise<T> => (await open([type])).get(type);
const failureOf = (call: Promise<unknown>): Promise<Error> =>
  call.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: unknown) => error as Error,
  );
/** Why an application with these providers does not start. */
const startFailure = async (...providers: Type[]): Promise<Error> => {
  const error = await failureOf(open(providers));
  // Nest 11 cannot close what did not start.
  opened.pop();
  return error;
};

const down = new Error('no answer');

@Injectable()
class Payments {
  isDown = false;
  runs = 0;
  readonly currency: string = 'EUR';

  @WithCircuitBreaker({ name: 'payments', volumeThreshold: 3 })
  async quote(amount: number, rate = 2): Promise<string> {
    this.runs++;
    if (this.isDown) throw down;
    return Promise.resolve(`${amount * rate} ${this.currency}`);
  }

  @WithCircuitBreaker('payments')
  async refund(id: string): Promise<string> {
    return Promise.resolve(`${id} refunded in ${this.currency}`);
  }

  @WithCircuitBreaker('payments', { fallback: 'lastQuote' })
  async quoteOrLast(amount: number, rate = 2): Promise<string> {
    return this.isDown ? Promise.reject(down) : this.quote(amount, rate);
  }

  protected async lastQuote(...args: unknown[]): Promise<string> {
    const error = args.pop() as Error;
    return Promise.resolve(`${JSON.stringify(args)} in ${this.currency} after ${error.name}`);
  }

  async breakDown(): Promise<void> {
    this.isDown = true;
    for (let times = 0; times < 3; times++) await this.quote(1).catch(() => undefined);
    this.runs = 0;
  }
}

describe('a method behind a circuit', () => {
  it('runs with its own this and arguments, also for calls at the same time', async () => {
    @Injectable()
    class Pounds extends Payments {
      override readonly currency = 'GBP';
    }
    const module = await open([Payments, Pounds]);
    const [euros, pounds] = [module.get(Payments), module.get(Pounds)];
    const calls = Array.from({ length: 50 }, (_, n) => [euros.quote(n), pounds.quote(n, 1), euros.refund(`r${n}`)]);
    const expected = Array.from({ length: 50 }, (_, n) => [`${n * 2} EUR`, `${n} GBP`, `r${n} refunded in EUR`]);
    await expect(Promise.all(calls.map((some) => Promise.all(some)))).resolves.toEqual(expected);
  });

  it('is refused when the circuit has opened, and so is every other of that name', async () => {
    const payments = await openWith(Payments);
    await payments.breakDown();
    expect(isCircuitOpenError(await failureOf(payments.quote(1)))).toBe(true);
    expect(isCircuitOpenError(await failureOf(payments.refund('r1')))).toBe(true);
    expect(payments.runs).toBe(0);
  });

  it('is judged as configured: neither client errors nor what the filter excepts count', async () => {
    @Injectable()
    class Filtered {
      @WithCircuitBreaker({ name: 'filtered', errorFilter: (error) => error instanceof RangeError })
      async fail(error: Error): Promise<string> {
        return Promise.reject(error);
      }
    }
    const module = await open([Filtered]);
    for (const error of [new BadRequestException(), new RangeError(), down]) {
      for (let times = 0; times < 4; times++) expect(await failureOf(module.get(Filtered).fail(error))).toBe(error);
    }
    expect(module.get(CircuitBreakerService).getStats()['filtered']?.stats).toMatchObject({
      successes: 8,
      failures: 4,
    });
  });

  it('is judged by its own filter, whatever others of its circuit except', async () => {
    const isType = (error: unknown) => error instanceof TypeError;
    @Injectable()
    class Filtered {
      @WithCircuitBreaker({ name: 'filters', errorFilter: (error) => error instanceof RangeError })
      async first(): Promise<string> {
        return Promise.resolve('made the circuit');
      }

      @WithCircuitBreaker({ name: 'filters', errorFilter: isType })
      async plain(): Promise<string> {
        return Promise.reject(new TypeError('plain'));
      }

      @WithCircuitBreaker({ name: 'filters', errorFilter: isType }, { fallback: 'first' })
      async falling(): Promise<string> {
        return Promise.reject(new TypeError('falling'));
      }
    }
    const module = await open([Filtered]);
    await expect(module.get(Filtered).plain()).rejects.toThrow('plain');
    await expect(module.get(Filtered).falling()).rejects.toThrow('falling');
    expect(module.get(CircuitBreakerService).getStats()['filters']?.stats).toMatchObject({ failures: 0 });
  });

  it('times out', async () => {
    @Injectable()
    class Slow {
      @WithCircuitBreaker({ name: 'slow', timeout: '20ms' })
      async wait(): Promise<string> {
        return sleep(500, 'late');
      }
    }
    expect(isCircuitTimeoutError(await failureOf((await openWith(Slow)).wait()))).toBe(true);
  });

  it('keeps its name, its length and its metadata', () => {
    const tagged = (prototype: object, property: string, descriptor: PropertyDescriptor) =>
      Reflect.defineMetadata('tag', `${property} of ${prototype.constructor.name}`, descriptor.value as object);
    class Tagged {
      @WithCircuitBreaker('tagged')
      @tagged
      async find(id: string, page: number): Promise<string> {
        return Promise.resolve(`${id}:${page}`);
      }
    }
    const find = Reflect.get(Tagged.prototype, 'find') as () => unknown;
    expect([find.name, find.length]).toEqual(['find', 2]);
    expect(Reflect.getMetadata('tag', find)).toBe('find of Tagged');
  });

  it.each([
    ['a request-scoped provider', Scope.REQUEST],
    ['a transient provider', Scope.TRANSIENT],
  ])('shares its circuit among the instances of %s', async (_, scope) => {
    @Injectable({ scope })
    class Scoped extends Payments {
      @Inject(REQUEST) readonly request: unknown;
    }
    const module = await open([Scoped]);
    await (await module.resolve(Scoped)).breakDown();
    expect(isCircuitOpenError(await failureOf((await module.resolve(Scoped)).quote(1)))).toBe(true);
  });

  it.each([
    ['a factory', { provide: Payments, useFactory: () => new Payments() }],
    ['a value', { provide: Payments, useValue: new Payments() }],
  ])('is protected where %s provides the instance', async (_, provider) => {
    const payments = (await open([provider])).get(Payments);
    await payments.breakDown();
    expect(isCircuitOpenError(await failureOf(payments.quote(1)))).toBe(true);
  });

  it('is protected in a module that is loaded lazily', async () => {
    @Module({ providers: [Payments], exports: [Payments] })
    class LazyModule {}
    const module = await open([]);
    const payments = (await module.get(LazyModuleLoader).load(() => LazyModule)).get(Payments);
    await payments.breakDown();
    expect(isCircuitOpenError(await failureOf(payments.quote(1)))).toBe(true);
  });

  it('has the circuit of its own application', async () => {
    const [first, second] = [await openWith(Payments), await openWith(Payments)];
    await first.breakDown();
    await expect(second.quote(1)).resolves.toBe('2 EUR');
  });

  it('stands behind a cache or in front of it, as it is written', async () => {
    @Injectable()
    class Cached {
      runs = 0;

      @Cacheable({ key: 'above' })
      @WithCircuitBreaker('cached')
      async above(): Promise<number> {
        return Promise.resolve(++this.runs);
      }

      @WithCircuitBreaker('cached')
      @Cacheable({ key: 'below' })
      async below(): Promise<number> {
        return Promise.resolve(++this.runs);
      }
    }
    const module = await open([Cached]);
    const cached = module.get(Cached);
    expect([await cached.above(), await cached.above(), await cached.below(), await cached.below()]).toEqual([
      1, 1, 2, 2,
    ]);
    module.get(CircuitBreakerService).isolate('cached');
    await expect(cached.above()).resolves.toBe(1);
    expect(isCircuitOpenError(await failureOf(cached.below()))).toBe(true);
  });

  it('may stand behind two circuits', async () => {
    @Injectable()
    class Twice {
      @WithCircuitBreaker('outer')
      @WithCircuitBreaker('inner')
      async run(): Promise<string> {
        return Promise.resolve('ran');
      }
    }
    const module = await open([Twice]);
    const circuits = module.get(CircuitBreakerService);
    expect(Object.keys(circuits.getStats())).toEqual(['inner', 'outer']);
    await expect(module.get(Twice).run()).resolves.toBe('ran');
    circuits.isolate('inner');
    await expect(module.get(Twice).run()).rejects.toMatchObject({ circuit: 'inner' });
    circuits.isolate('outer');
    await expect(module.get(Twice).run()).rejects.toMatchObject({ circuit: 'outer' });
  });
});

describe('the circuits of decorated methods', () => {
  it('are there before the first call, with the defaults of the module', async () => {
    const module = await open([Payments], { redis: false, circuitBreaker: { timeout: '7s', resetTimeout: '9s' } });
    expect(module.get(CircuitBreakerService).getStats()['payments']).toMatchObject({
      state: 'CLOSED',
      stats: { fires: 0 },
      config: { timeout: 7_000, resetTimeout: 9_000, volumeThreshold: 3 },
    });
  });

  it('count calls, refusals and fallbacks, and can be run by hand', async () => {
    const module = await open([Payments]);
    const [payments, circuits] = [module.get(Payments), module.get(CircuitBreakerService)];
    await payments.quote(1);
    circuits.isolate('payments');
    await failureOf(payments.refund('r1'));
    await payments.quoteOrLast(1);
    expect(circuits.getStats()['payments']?.stats).toMatchObject({ fires: 3, successes: 1, rejects: 2, fallbacks: 1 });
    circuits.close('payments');
    await expect(payments.refund('r1')).resolves.toBe('r1 refunded in EUR');
    await expect(circuits.get('payments')?.fire(() => Promise.resolve('by hand'))).resolves.toBe('by hand');
  });

  it('tell their listeners the arguments of the call', async () => {
    const module = await open([Payments]);
    const fired: unknown[] = [];
    module
      .get(CircuitBreakerService)
      .get('payments')!
      .on('fire', (args: never) => fired.push(args));
    await module.get(Payments).quote(3, 4);
    expect(fired).toEqual([[3, 4]]);
  });
});

describe('a fallback method', () => {
  it.each([
    ['a failed call', (payments: Payments) => void (payments.isDown = true), 'Error'],
    ['a refused call', (payments: Payments) => payments.breakDown(), 'CircuitOpenError'],
  ])('answers for %s with the same this and arguments, and the error last', async (_, prepare, error) => {
    const payments = await openWith(Payments);
    await prepare(payments);
    await expect(payments.quoteOrLast(1, 3)).resolves.toBe(`[1,3] in EUR after ${error}`);
  });

  it('gets the error in its place where the caller left arguments out', async () => {
    const payments = await openWith(Payments);
    payments.isDown = true;
    await expect(payments.quoteOrLast(1)).resolves.toBe('[1,null] in EUR after Error');
    await expect(payments.quoteOrLast(1, 3)).resolves.toBe('[1,3] in EUR after Error');
  });

  it('takes any number of arguments where the method does', async () => {
    @Injectable()
    class Sums {
      @WithCircuitBreaker('sums', { fallback: 'count' })
      async sum(...numbers: number[]): Promise<number> {
        return Promise.reject(numbers.length < 9 ? down : new Error('too many'));
      }

      count(...args: unknown[]): number {
        return args.length;
      }
    }
    const sums = await openWith(Sums);
    expect([await sums.sum(), await sums.sum(1), await sums.sum(1, 2)]).toEqual([1, 2, 3]);
  });

  it('is that of the instance: a subclass may have its own', async () => {
    abstract class Base {
      @WithCircuitBreaker('base', { fallback: 'instead' })
      async run(): Promise<string> {
        return Promise.reject(down);
      }
      abstract instead(error: Error): Promise<string>;
    }
    @Injectable()
    class Heir extends Base {
      async instead({ message }: Error): Promise<string> {
        return Promise.resolve(`heir after ${message}`);
      }
    }
    await expect((await openWith(Heir)).run()).resolves.toBe('heir after no answer');
  });

  it('does not hide client errors', async () => {
    @Injectable()
    class Strict {
      @WithCircuitBreaker('strict', { fallback: 'instead' })
      async run(): Promise<string> {
        return Promise.reject(new BadRequestException('no such amount'));
      }
      instead(): string {
        return 'hidden';
      }
    }
    await expect((await openWith(Strict)).run()).rejects.toThrow('no such amount');
  });

  it('fails for the caller when it fails itself', async () => {
    @Injectable()
    class Broken {
      @WithCircuitBreaker('broken', { fallback: 'instead' })
      async run(): Promise<string> {
        return Promise.reject(down);
      }
      instead(): string {
        throw new Error('nothing left');
      }
    }
    await expect((await openWith(Broken)).run()).rejects.toThrow('nothing left');
  });
});

@Catch()
class AnswerOtherwise implements ExceptionFilter {
  catch(error: HttpException, host: ArgumentsHost): void {
    const response = host.switchToHttp().getResponse<{ status: (code: number) => { send: (body: object) => void } }>();
    response.status(error.getStatus()).send({ own: error.message });
  }
}

@Injectable()
class RefuseAll implements CanActivate {
  canActivate(): boolean {
    throw new CircuitOpenError('guard', 2_500);
  }
}

@Module({})
class RefuseEarly implements NestModule {
  configure(consumer: MiddlewareConsumer): void {
    const refuse = () => {
      throw new CircuitOpenError('middleware', 1);
    };
    consumer.apply(refuse).forRoutes({ path: 'payments/early', method: RequestMethod.GET });
  }
}

describe.each(PLATFORMS)('a route behind a circuit, on %s', (platform) => {
  @Controller('payments')
  class PaymentsController {
    @WithCircuitBreaker({ name: 'above', resetTimeout: '90s' })
    @Get('above/:id')
    async above(@Param('id') id: string): Promise<object> {
      return Promise.resolve({ id });
    }

    @Get('below/:id')
    @WithCircuitBreaker({ name: 'below', capacity: 1 }, { fallback: 'instead' })
    async below(@Param('id') id: string): Promise<object> {
      return id === 'bad' ? Promise.reject(down) : Promise.resolve({ id });
    }

    instead(id: string, { message }: Error): object {
      return { id, message };
    }

    @Get('own')
    async own(@Res({ passthrough: true }) response: { header: (name: string, value: string) => void }): Promise<never> {
      response.header('retry-after', '7');
      return Promise.reject(new CircuitOpenError('own', 90_000));
    }

    @UseFilters(AnswerOtherwise)
    @Get('filtered')
    async filtered(): Promise<never> {
      return Promise.reject(new CircuitOpenError('filtered', 90_000));
    }

    @UseGuards(RefuseAll)
    @Get('guarded')
    guarded(): object {
      return {};
    }

    @Get('other')
    async other(): Promise<never> {
      return Promise.reject(new ServiceUnavailableException());
    }
  }

  let app: Awaited<ReturnType<typeof openHttpApp>>;
  beforeAll(async () => {
    app = await openHttpApp({ platform, imports: [RefuseEarly], controllers: [PaymentsController] });
  });
  afterAll(() => app.close());
  const get = (path: string) => request(app.getHttpServer()).get(`/payments/${path}`);

  it('answers, and is refused with 503 and the time to come back', async () => {
    await get('above/1').expect(200, { id: '1' });
    app.get(CircuitBreakerService).get('above')!.open();
    const refused = await get('above/1').expect(503).expect('retry-after', '90');
    expect(refused.body).toMatchObject({ statusCode: 503, code: 'KEEP_CIRCUIT_OPEN' });
  });

  it('falls back', async () => {
    expect((await get('below/bad').expect(200)).body).toEqual({ id: 'bad', message: 'no answer' });
    expect((await get('below/good').expect(200)).body).toEqual({ id: 'good' });
  });

  it.each([
    ['filtered', '90'],
    ['guarded', '3'],
    ['early', '1'],
  ])('says when to come back whoever refuses and whoever answers: %s', async (path, seconds) => {
    const { headers, status } = await get(path);
    expect([status, headers['retry-after']]).toEqual([503, seconds]);
  });

  it('keeps what the handler says itself, and says nothing about the errors of others', async () => {
    await get('own').expect(503).expect('retry-after', '7');
    expect((await get('other').expect(503)).headers).not.toHaveProperty('retry-after');
  });
});

describe('without protection', () => {
  it('no method runs: an instance built by hand, or an application without the module', async () => {
    const byHand = new Payments();
    const module = await Test.createTestingModule({ providers: [Payments] }).compile();
    opened.push(module);
    for (const payments of [byHand, module.get(Payments)]) {
      await expect(payments.quote(1)).rejects.toMatchObject({
        code: 'KEEP_INVALID_OPTIONS',
        message: expect.stringMatching(/Payments\.quote .*@WithCircuitBreaker[^]*CacheModule/) as string,
      });
      await expect(payments.quoteOrLast(1)).rejects.toMatchObject({ code: 'KEEP_INVALID_OPTIONS' });
      expect(payments.runs).toBe(0);
    }
  });
});

describe('wrong use', () => {
  const decorate = (decorator: unknown) => () => {
    class Users {
      async find(id: string): Promise<string> {
        return Promise.resolve(id);
      }
    }
    const descriptor = Object.getOwnPropertyDescriptor(Users.prototype, 'find');
    (decorator as MethodDecorator)(Users.prototype, 'find', descriptor!);
  };

  it.each([
    ['a blank name', WithCircuitBreaker(''), 'name'],
    ['no name', WithCircuitBreaker({} as never), 'name'],
    ['nothing', WithCircuitBreaker(undefined as never), 'name'],
    ['a name that is too long', WithCircuitBreaker('x'.repeat(129)), 'name'],
    ['a name that is no text', WithCircuitBreaker({ name: 7 } as never), 'name'],
    ['an unknown option', WithCircuitBreaker({ name: 'a', treshold: 3 } as never), 'treshold'],
    ['a negative timeout', WithCircuitBreaker({ name: 'a', timeout: -1 }), 'timeout'],
    ['a share above 100', WithCircuitBreaker({ name: 'a', errorThresholdPercentage: 101 }), 'errorThresholdPercentage'],
    ['no trial calls', WithCircuitBreaker({ name: 'a', halfOpenMaxCalls: 0 }), 'halfOpenMaxCalls'],
    ['a filter that is no function', WithCircuitBreaker({ name: 'a', errorFilter: true } as never), 'errorFilter'],
    ['a fallback that is no name', WithCircuitBreaker('a', { fallback: (() => 1) as never }), 'fallback'],
    ['an option that is none', WithCircuitBreaker('a', { fallBack: 'b' } as never), 'fallBack'],
    ['options that are none', WithCircuitBreaker('a', 'b' as never), 'options'],
  ])('stops the class from being defined: %s', (_, decorator, option) => {
    expect(decorate(decorator)).toThrow(expect.objectContaining({ code: 'KEEP_INVALID_OPTIONS' }) as Error);
    expect(decorate(decorator)).toThrow(/Users\.find: .*@WithCircuitBreaker/);
    expect(decorate(decorator)).toThrow(option);
  });

  it('stops the start: a fallback that is no method of the class', async () => {
    @Injectable()
    class Users {
      readonly name = 'users';

      @WithCircuitBreaker('users', { fallback: 'findInstead' })
      async find(): Promise<string> {
        return Promise.resolve('found');
      }

      @WithCircuitBreaker('users', { fallback: 'name' })
      async list(): Promise<string> {
        return Promise.resolve('found');
      }
    }
    const { message } = await startFailure(Users);
    expect(message).toMatch(/Users\.find: fallback: .*"findInstead"/);
    expect(message).toMatch(/Users\.list: fallback: .*"name"/);
  });

  it('refuses the first call where the start could not see the class', async () => {
    @Injectable()
    class Users {
      runs = 0;

      @WithCircuitBreaker('users', { fallback: 'findInstead' })
      async find(): Promise<number> {
        return Promise.resolve(++this.runs);
      }
    }
    @Module({ providers: [Users], exports: [Users] })
    class LazyModule {}
    const module = await open([]);
    const users = (await module.get(LazyModuleLoader).load(() => LazyModule)).get(Users);
    await expect(users.find()).rejects.toThrow(/Users\.find[^]*fallback[^]*"findInstead"/);
    expect(users.runs).toBe(0);
  });

  it('stops the start: configurations of one name that contradict each other', async () => {
    @Injectable()
    class Cats {
      @WithCircuitBreaker({ name: 'animals', timeout: '1s' })
      async find(): Promise<string> {
        return Promise.resolve('cat');
      }
    }
    @Injectable()
    class Dogs {
      @WithCircuitBreaker({ name: 'animals', timeout: '2s' })
      async find(): Promise<string> {
        return Promise.resolve('dog');
      }
    }
    await expect(startFailure(Cats, Dogs)).resolves.toMatchObject({
      code: 'KEEP_INVALID_OPTIONS',
      message: expect.stringMatching(/Dogs\.find: timeout: is 1000 ms .* 2000 ms here/) as string,
    });
  });

  it('lets a name stand before the configuration that it means', async () => {
    @Injectable()
    class Early {
      @WithCircuitBreaker('late')
      async find(): Promise<string> {
        return Promise.resolve('found');
      }
    }
    @Injectable()
    class Late {
      @WithCircuitBreaker({ name: 'late', timeout: '1s' })
      async find(): Promise<string> {
        return Promise.resolve('found');
      }
    }
    const module = await open([Early, Late]);
    expect(module.get(CircuitBreakerService).getStats()['late']?.config.timeout).toBe(1_000);
  });
});
