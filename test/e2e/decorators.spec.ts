import 'reflect-metadata';
import {
  Body,
  Controller,
  Delete,
  Get,
  Inject,
  Injectable,
  Logger,
  Module,
  Param,
  Post,
  Put,
  Scope,
  type Type,
  UseGuards,
} from '@nestjs/common';
import { LazyModuleLoader, ModuleRef, REQUEST } from '@nestjs/core';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { type ClientProxy, ClientProxyFactory, MessagePattern, Transport } from '@nestjs/microservices';
import { Cron, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { ApiOperation, DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { Test, type TestingModule } from '@nestjs/testing';
import { firstValueFrom } from 'rxjs';
import request from 'supertest';
import { CacheEvict } from '../../src/cache/cache-evict.decorator.ts';
import { CachePut } from '../../src/cache/cache-put.decorator.ts';
import { Cacheable } from '../../src/cache/cacheable.decorator.ts';
import { Caching } from '../../src/cache/caching.decorator.ts';
import { CacheModule, type CacheModuleOptions, CacheService } from '../../src/index.ts';
import { freePorts } from '../support/free-ports.ts';
import { gatedFactory } from '../support/gate.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';

type Imports = NonNullable<Parameters<typeof Test.createTestingModule>[0]['imports']>;
type Providers = NonNullable<Parameters<typeof Test.createTestingModule>[0]['providers']>;

const opened: { close(): Promise<void> }[] = [];
afterEach(async () => {
  for (const app of opened.splice(0)) await app.close();
});

/** An application with the module and these providers. */
async function open(providers: Providers, imports: Imports = []): Promise<TestingModule> {
  const module = await Test.createTestingModule({ imports: [CacheModule.forRoot(), ...imports], providers }).compile();
  opened.push(module);
  return module.init();
}
const openWith = async <T>(type: Type<T>): Promise<T> => (await open([type])).get(type);
const failure = (providers: Providers): Promise<Error> =>
  open(providers).then(
    () => Promise.reject(new Error('it started')),
    (error: unknown) => {
      // Nest 11 cannot close what did not start.
      opened.pop();
      return error as Error;
    },
  );

describe('a decorated method of a provider', () => {
  @Injectable()
  class Counter {
    runs = 0;

    @Cacheable('1m')
    async next(step = 1): Promise<number> {
      return Promise.resolve((this.runs += step));
    }

    async twice(): Promise<number[]> {
      return [await this.next(), await this.next()];
    }
  }

  it('runs once for equal arguments', async () => {
    const counter = await openWith(Counter);
    expect([await counter.next(), await counter.next(), await counter.next(2)]).toEqual([1, 1, 3]);
  });

  it('is cached for calls of the instance on itself', async () => {
    const counter = await openWith(Counter);
    expect(await counter.twice()).toEqual([1, 1]);
  });

  it('shares the entry among instances of a request or of a consumer', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class PerRequest extends Counter {
      @Inject(REQUEST) readonly request: unknown;
    }
    @Injectable({ scope: Scope.TRANSIENT })
    class PerConsumer extends Counter {}
    @Injectable()
    class Consumer {
      constructor(readonly counter: PerConsumer) {}
    }
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
    const module = await open([PerRequest, PerConsumer, Consumer]);
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('PerRequest.next'));
    warn.mockRestore();

    const [first, second] = [await module.resolve(PerRequest), await module.resolve(PerRequest)];
    expect(await first.next()).toBe(1);
    expect([await second.next(), second.runs]).toEqual([1, 0]);

    const { counter } = module.get(Consumer);
    expect(await counter.twice()).toEqual([1, 1]);
    const other = await module.resolve(PerConsumer);
    expect([await other.next(), other.runs]).toEqual([1, 0]);
  });

  it('is cached for each subclass apart, and an override that calls super apart from what it overrides', async () => {
    @Injectable()
    class Cats extends Counter {}
    @Injectable()
    class Dogs extends Counter {
      @Cacheable('1m')
      override async next(): Promise<number> {
        return 10 * (await super.next());
      }
    }
    const module = await open([Cats, Dogs]);
    expect([await module.get(Cats).next(), await module.get(Dogs).next(), await module.get(Dogs).next()]).toEqual([
      1, 10, 10,
    ]);
    expect(module.get(Dogs).runs).toBe(1);
  });

  it('is cached where ModuleRef creates the instance', async () => {
    class Unregistered extends Counter {}
    const module = await open([]);
    const counter = await module.get(ModuleRef).create(Unregistered);
    expect(await counter.twice()).toEqual([1, 1]);
  });

  it('is cached in a module that is loaded lazily', async () => {
    @Module({ providers: [Counter], exports: [Counter] })
    class LazyModule {}
    const module = await open([]);
    const lazy = await module.get(LazyModuleLoader).load(() => LazyModule);
    expect(await lazy.get(Counter).twice()).toEqual([1, 1]);
  });

  it.each([
    ['a factory', { provide: Counter, useFactory: () => new Counter() }],
    ['an asynchronous factory', { provide: Counter, useFactory: async () => Promise.resolve(new Counter()) }],
    ['a value', { provide: Counter, useValue: new Counter() }],
    ['a frozen value', { provide: Counter, useFactory: () => Object.freeze(new FrozenCounter()) }],
  ])('is cached where %s provides the instance', async (_, provider) => {
    const module = await open([provider]);
    expect(await module.get(Counter).twice()).toEqual([1, 1]);
  });

  class FrozenCounter extends Counter {
    readonly #state = { runs: 0 };

    @Cacheable('1m')
    override async next(): Promise<number> {
      return Promise.resolve(++this.#state.runs);
    }
  }

  it('uses the cache of its own application', async () => {
    const [first, second] = [await open([Counter]), await open([Counter])];
    expect(await first.get(Counter).next()).toBe(1);
    expect(await second.get(Counter).next()).toBe(1);
    expect(second.get(Counter).runs).toBe(1);
    await first.close();
    expect(await second.get(Counter).twice()).toEqual([1, 1]);
  });

  it('uses the service that a test puts in its place', async () => {
    const module = await Test.createTestingModule({ imports: [CacheModule.forRoot()], providers: [Counter] })
      .overrideProvider(CacheService)
      .useValue({ getOrSet: async () => Promise.resolve(42) })
      .compile();
    opened.push(module);
    expect(await module.get(Counter).next()).toBe(42);
  });

  it('just runs without the module, and on an instance built by hand', async () => {
    const module = await Test.createTestingModule({ providers: [Counter] }).compile();
    opened.push(module);
    expect(await module.get(Counter).twice()).toEqual([1, 2]);
    expect(await new Counter().twice()).toEqual([1, 2]);
  });
});

describe('a decorated method while there is nothing to cache in', () => {
  @Injectable()
  class Counter {
    runs = 0;

    @Cacheable({ key: 'counter', ttl: '1m' })
    async next(): Promise<number> {
      return Promise.resolve(++this.runs);
    }

    @CacheEvict({ keys: 'counter', tags: 'counters', pattern: 'counter*' })
    @CachePut({ key: 'other' })
    async evict(): Promise<string> {
      return Promise.resolve('evicted');
    }
  }
  const openWithout = async (options: CacheModuleOptions): Promise<Counter> => {
    const imports = [CacheModule.forRoot(options)];
    const module = await Test.createTestingModule({ imports, providers: [Counter] }).compile();
    opened.push(module);
    return (await module.init()).get(Counter);
  };

  it('runs each time with the cache switched off', async () => {
    const counter = await openWithout({ cache: { enabled: false } });
    expect([await counter.next(), await counter.next()]).toEqual([1, 2]);
    await expect(counter.evict()).resolves.toBe('evicted');
  });

  it('runs, and does not fail, while the server is away', async () => {
    const [port = 0] = await freePorts(1);
    const counter = await openWithout({ redis: { url: `redis://127.0.0.1:${port}`, bootBudget: '50ms' } });
    await expect(counter.next()).resolves.toBe(1);
  });
});

describe('@Cacheable', () => {
  interface User {
    readonly id: number;
    readonly name: string;
  }

  @Injectable()
  class Users {
    readonly seen: number[] = [];
    private find = (id: number): User => {
      this.seen.push(id);
      return { id, name: `user ${id}` };
    };

    @Cacheable({ key: 'user:{id}', ttl: '1m', tags: ['users', 'user:{0}'] })
    async byTemplate(id: number): Promise<User> {
      return Promise.resolve(this.find(id));
    }

    @Cacheable({ key: (id) => `fn:${id}`, tags: ({ name }, id) => [name, `id:${id}`] })
    async byFunction(id: number): Promise<User> {
      return Promise.resolve(this.find(id));
    }

    @Cacheable({ key: 'late:{id}', tags: ['name:{result.name}'] })
    async byResult(id: number): Promise<User> {
      return Promise.resolve(this.find(id));
    }

    @Cacheable({ when: (id) => id > 0, unless: ({ id }) => id === 2 })
    async sometimes(id: number): Promise<User> {
      return Promise.resolve(this.find(id));
    }

    @Cacheable({ cacheNull: true })
    async nothing(id: number): Promise<User | null | undefined> {
      this.seen.push(id);
      return Promise.resolve(id === 0 ? undefined : null);
    }

    @Cacheable('1m')
    async fail(id: number): Promise<User> {
      this.seen.push(id);
      return Promise.reject(new Error(`no user ${id}`));
    }

    @Cacheable('1m')
    async nest(id: number): Promise<User> {
      return this.byTemplate(id);
    }
  }

  it('stores under the key that its template or function names', async () => {
    const module = await open([Users]);
    const [users, cache] = [module.get(Users), module.get(CacheService)];
    await users.byTemplate(1);
    await users.byFunction(1);
    await expect(cache.get('user:1')).resolves.toEqual({ id: 1, name: 'user 1' });
    await expect(cache.get('fn:1')).resolves.toEqual({ id: 1, name: 'user 1' });
  });

  it('gives the entry the tags of its arguments and of its result', async () => {
    const module = await open([Users]);
    const [users, cache] = [module.get(Users), module.get(CacheService)];
    const load = async () => {
      await Promise.all([users.byTemplate(1), users.byTemplate(2), users.byFunction(1), users.byResult(1)]);
      return users.seen.splice(0);
    };
    await expect(load()).resolves.toHaveLength(4);
    await expect(load()).resolves.toHaveLength(0);
    await cache.delByTag('user:1');
    await expect(load()).resolves.toEqual([1]);
    await cache.delByTag('users');
    await expect(load()).resolves.toEqual([1, 2]);
    await cache.delByTag('user 1');
    await expect(load()).resolves.toEqual([1]);
    await cache.delByTag('name:user%201');
    await expect(load()).resolves.toEqual([1]);
  });

  it('runs the method where `when` says no, and does not store where `unless` says yes', async () => {
    const users = await openWith(Users);
    for (const id of [0, 0, 1, 1, 2, 2]) await users.sometimes(id);
    expect(users.seen).toEqual([0, 0, 1, 2, 2]);
  });

  it('caches null, never undefined and never an error', async () => {
    const users = await openWith(Users);
    for (const id of [0, 0, 1, 1]) await users.nothing(id);
    expect(users.seen.splice(0)).toEqual([0, 0, 1]);
    for (const id of [1, 1]) await expect(users.fail(id)).rejects.toThrow('no user 1');
    expect(users.seen).toEqual([1, 1]);
  });

  it('runs the method once for callers at the same time', async () => {
    const users = await openWith(Users);
    await Promise.all(Array.from({ length: 50 }, () => users.byTemplate(1)));
    expect(users.seen).toEqual([1]);
  });

  it('may call another cached method', async () => {
    const users = await openWith(Users);
    expect(await users.nest(1)).toEqual(await users.byTemplate(1));
    expect(users.seen).toEqual([1]);
  });

  it('rejects, without running the method, when a placeholder has no value', async () => {
    const users = await openWith(Users);
    await expect(users.byTemplate(undefined as unknown as number)).rejects.toMatchObject({
      code: 'KEEP_INVALID_OPTIONS',
      message: expect.stringMatching(/Users\.byTemplate[^]*\{id\}/) as string,
    });
    expect(users.seen).toEqual([]);
  });
});

describe('@CacheEvict and @CachePut', () => {
  interface Product {
    readonly id: string;
    readonly price: number;
  }

  @Injectable()
  class Products {
    prices = new Map<string, number>();
    source = async (id: string): Promise<Product> => Promise.resolve({ id, price: this.prices.get(id) ?? 0 });

    @Cacheable({ key: 'product:{id}', tags: ['products', 'product:{id}'], ttl: '1m' })
    async find(id: string): Promise<Product> {
      return this.source(id);
    }

    private async write(id: string, price: number): Promise<Product> {
      if (price < 0) throw new Error('no such price');
      this.prices.set(id, price);
      return Promise.resolve({ id, price });
    }

    @CacheEvict({ keys: 'product:{id}' })
    async byTemplate(id: string, price: number): Promise<Product> {
      return this.write(id, price);
    }

    @CacheEvict({ keys: ({ id }, _id, price) => (price === 0 ? [] : [`product:${id}`]) })
    async byFunction(id: string, price: number): Promise<Product> {
      return this.write(id, price);
    }

    @CacheEvict({ keys: ['product:{result.id}'] })
    async byResult(id: string, price: number): Promise<Product> {
      return this.write(id, price);
    }

    @CacheEvict({ tags: ['product:{0}'] })
    async byTag(id: string, price: number): Promise<Product> {
      return this.write(id, price);
    }

    @CacheEvict({ pattern: 'product:{0}*' })
    async byPattern(id: string, price: number): Promise<Product> {
      return this.write(id, price);
    }

    @CacheEvict({ keys: (id) => `product:${id}`, when: 'before' })
    async before(id: string, price: number): Promise<Product> {
      return this.write(id, price);
    }

    @CachePut({ key: 'product:{id}', tags: ['products'], ttl: '1m', unless: ({ price }) => price === 13 })
    async put(id: string, price: number): Promise<Product> {
      return this.write(id, price);
    }

    @CachePut({ key: 'product:{result.id}', when: (product) => product.price !== 13 })
    async create(product: Omit<Product, 'id'>): Promise<Product> {
      return this.write('new', product.price);
    }

    @CachePut({ key: 'product:{id}' })
    async clear(id: string): Promise<void> {
      await this.write(id, 0);
    }

    @Caching([CacheEvict({ keys: 'other:{id}' }), CachePut({ key: 'product:{id}' })])
    async both(id: string, price: number): Promise<Product> {
      return this.write(id, price);
    }
  }

  let products: Products;
  let cache: CacheService;
  beforeEach(async () => {
    const module = await open([Products]);
    [products, cache] = [module.get(Products), module.get(CacheService)];
    await Promise.all([products.find('a'), products.find('b')]);
  });
  const price = async (id: string) => (await products.find(id)).price;

  it.each(['byTemplate', 'byFunction', 'byResult', 'byTag', 'byPattern', 'before', 'put', 'both'] as const)(
    '%s: the next read gets the new value',
    async (method) => {
      await expect(products[method]('a', 5)).resolves.toEqual({ id: 'a', price: 5 });
      await expect(price('a')).resolves.toBe(5);
    },
  );

  it('evicts nothing else', async () => {
    products.prices.set('b', 9);
    await products.byTemplate('a', 5);
    await products.byTag('a', 5);
    await products.byPattern('a', 5);
    await products.byFunction('b', 0);
    await expect(price('b')).resolves.toBe(0);
  });

  it('evicts only when the method succeeds, unless it evicts before', async () => {
    products.prices.set('a', 7);
    await expect(products.byTemplate('a', -1)).rejects.toThrow('no such price');
    await expect(price('a')).resolves.toBe(0);
    await expect(products.before('a', -1)).rejects.toThrow('no such price');
    await expect(price('a')).resolves.toBe(7);
  });

  it('does not run the method when a placeholder has no value', async () => {
    await expect(products.byTemplate('', 5)).rejects.toMatchObject({ code: 'KEEP_INVALID_OPTIONS' });
    await expect(products.put('', 5)).rejects.toMatchObject({ code: 'KEEP_INVALID_OPTIONS' });
    expect(products.prices.size).toBe(0);
  });

  it('does not let an id widen a pattern', async () => {
    products.prices.set('a', 9);
    await products.byPattern('*', 1);
    await expect(price('a')).resolves.toBe(0);
  });

  it('puts the result under the key that reads use, and runs every time', async () => {
    await products.put('c', 1);
    products.prices.set('c', 99);
    await expect(price('c')).resolves.toBe(1);
    await products.put('c', 2);
    await expect(price('c')).resolves.toBe(2);
    await products.create({ price: 3 });
    products.prices.set('new', 99);
    await expect(price('new')).resolves.toBe(3);
  });

  it('puts nothing where its conditions say so', async () => {
    await products.put('a', 13);
    await products.create({ price: 13 });
    await expect(price('a')).resolves.toBe(0);
    await expect(cache.has('product:new')).resolves.toBe(false);
  });

  it('tags what it puts', async () => {
    await products.put('a', 1);
    products.prices.set('a', 2);
    await cache.delByTag('products');
    await expect(price('a')).resolves.toBe(2);
  });

  it('leaves no old entry where the result cannot be stored', async () => {
    products.prices.set('a', 4);
    await cache.set('product:a', { id: 'a', price: 1 });
    await products.clear('a');
    await expect(cache.has('product:a')).resolves.toBe(false);
  });

  it('combines decorators', async () => {
    await cache.set('other:a', 1);
    await products.both('a', 5);
    await expect(cache.has('other:a')).resolves.toBe(false);
    await expect(cache.get('product:a')).resolves.toEqual({ id: 'a', price: 5 });
  });

  it.each(['byTemplate', 'byTag', 'byPattern'] as const)(
    '%s: a load that began before the eviction stores nothing after it (INV-07)',
    async (method) => {
      await cache.del('product:a');
      const gated = gatedFactory(() => ({ id: 'a', price: products.prices.get('a') ?? 0 }));
      products.source = gated;
      const early = products.find('a');
      await gated.entered;
      await products[method]('a', 5);
      gated.open();
      await expect(early).resolves.toMatchObject({ price: 0 });
      await expect(price('a')).resolves.toBe(5);
      expect(gated.runs).toBe(2);
    },
  );
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
    ['an unknown option', Cacheable({ ttll: '1m' } as object), 'ttll'],
    ['a number in place of a duration', Cacheable({ ttl: 30 } as object), 'ttl'],
    ['a duration without unit', Cacheable('20' as '20s'), 'ttl'],
    ['an empty duration', Cacheable('' as '20s'), 'ttl'],
    ['a negative number of seconds', Cacheable(-1), 'ttl'],
    ['no number', Cacheable(NaN), 'ttl'],
    ['a jitter out of range', Cacheable({ jitter: 1.5 }), 'jitter'],
    ['an unknown way to coalesce', Cacheable({ coalesce: 'all' } as object), 'coalesce'],
    ['a blank key', Cacheable({ key: ' ' }), 'key'],
    ['a condition that is no function', Cacheable({ when: true } as object), 'when'],
    ['the result in the key of a read', Cacheable({ key: 'x:{result.id}' }), 'result'],
    ['a placeholder that is no argument', Cacheable({ key: 'x:{userId}' }), '{userId}'],
    ['a put without key', CachePut({ ttl: '1m' } as never), 'key'],
    ['an eviction of nothing', CacheEvict({}), 'keys'],
    ['the result before the method has run', CacheEvict({ keys: 'x:{result.id}', when: 'before' }), 'result'],
    ['options that are none', CacheEvict(undefined as never), 'options'],
  ])('stops the class from being defined: %s (B55)', (_, decorator, option) => {
    expect(decorate(decorator)).toThrow(expect.objectContaining({ code: 'KEEP_INVALID_OPTIONS' }) as Error);
    expect(decorate(decorator)).toThrow(/Users\.find/);
    expect(decorate(decorator)).toThrow(option);
  });

  it('stops the start: two methods with the same key (B56)', async () => {
    @Injectable()
    class Cats {
      @Cacheable({ key: 'animal:{id}' })
      async find(id: string): Promise<string> {
        return Promise.resolve(id);
      }
    }
    @Injectable()
    class Dogs {
      @Cacheable({ key: 'animal:{id}' })
      async find(id: string): Promise<string> {
        return Promise.resolve(id);
      }
    }
    await expect(failure([Cats, Dogs])).resolves.toMatchObject({
      code: 'KEEP_INVALID_OPTIONS',
      message: expect.stringMatching(/Dogs\.find[^]*'animal:\{id\}'[^]*Cats\.find/) as string,
    });
  });

  it('stops the start: two classes of the same name with default keys (B56)', async () => {
    const make = () => {
      @Injectable()
      class Users {
        @Cacheable('1m')
        async find(): Promise<string> {
          return Promise.resolve('found');
        }
      }
      return Users;
    };
    await expect(failure([make(), make()])).resolves.toMatchObject({
      code: 'KEEP_INVALID_OPTIONS',
      message: expect.stringContaining('Users.find') as string,
    });
  });

  it('stops the start: a method that is no route reads the request', async () => {
    @Injectable()
    class Users {
      @CacheEvict({ keys: 'user:{params.id}' })
      async remove(): Promise<string> {
        return Promise.resolve('removed');
      }
    }
    await expect(failure([Users])).resolves.toMatchObject({
      message: expect.stringMatching(/Users\.remove: \{params\.id\}/) as string,
    });
  });

  it('lets subclasses share a method and its key', async () => {
    class Base {
      @Cacheable({ key: 'base:{id}' })
      async find(id: string): Promise<string> {
        return Promise.resolve(id);
      }
    }
    @Injectable()
    class First extends Base {}
    @Injectable()
    class Second extends Base {}
    await expect(open([First, Second])).resolves.toBeDefined();
  });
});

describe.each(PLATFORMS)('beside the decorators of the framework, on %s', (platform) => {
  const denied = { canActivate: () => false };

  @Controller('users')
  class UsersController {
    runs = 0;
    private user(id: string) {
      return Promise.resolve({ id, run: ++this.runs });
    }

    @Cacheable('1m')
    @Get('above/:id')
    @ApiOperation({ summary: 'decorated above' })
    async above(@Param('id') id: string): Promise<object> {
      return this.user(id);
    }

    @ApiOperation({ summary: 'decorated below' })
    @Get('below/:id')
    @Cacheable('1m')
    async below(@Param('id') id: string): Promise<object> {
      return this.user(id);
    }

    @CacheEvict({ keys: 'guarded' })
    @Get('guarded')
    @UseGuards(denied)
    async guarded(): Promise<object> {
      return this.user('guarded');
    }

    @Put(':id')
    @CacheEvict({ keys: ['user:{params.id}', 'name:{body.name}'], tags: ['page:{query.page}'] })
    async update(@Param('id') id: string, @Body() body: object): Promise<object> {
      return { ...body, ...(await this.user(id)) };
    }

    @CacheEvict({ keys: 'user:{id}' })
    @Delete(':id')
    async remove(@Param('id') id: string): Promise<object> {
      return this.user(id);
    }

    @Post()
    @CachePut({ key: 'user:{result.id}' })
    async create(@Body() { id }: { id: string }): Promise<object> {
      return this.user(id);
    }

    @MessagePattern('sum')
    @Cacheable('1m')
    async sum(numbers: number[]): Promise<number> {
      this.runs++;
      return Promise.resolve(numbers.reduce((a, b) => a + b, 0));
    }

    @Cacheable({ key: 'product:{numbers.length}:{0.0}' })
    @MessagePattern('product')
    async product(numbers: number[]): Promise<number> {
      this.runs++;
      return Promise.resolve(numbers.reduce((a, b) => a * b, 1));
    }
  }

  @Injectable()
  class Jobs {
    readonly seen: string[] = [];
    private see(job: string): Promise<string> {
      this.seen.push(job);
      return Promise.resolve(job);
    }

    @Cron('0 0 1 1 *', { name: 'above' })
    @Cacheable('1m')
    async cronAbove(): Promise<string> {
      return this.see('cron above');
    }

    @Cacheable('1m')
    @Cron('0 0 1 1 *', { name: 'below' })
    async cronBelow(): Promise<string> {
      return this.see('cron below');
    }

    @OnEvent('user.changed')
    @CacheEvict({ keys: 'user:{id}' })
    async eventAbove(id: string): Promise<string> {
      return this.see(`event above ${id}`);
    }

    @CacheEvict({ tags: ['user:{id}'] })
    @OnEvent('user.changed')
    async eventBelow(id: string): Promise<string> {
      return this.see(`event below ${id}`);
    }
  }

  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: ClientProxy;
  beforeAll(async () => {
    const [port = 0] = await freePorts(1);
    const transport = { transport: Transport.TCP, options: { host: '127.0.0.1', port } } as const;
    app = await openHttpApp({
      platform,
      imports: [ScheduleModule.forRoot(), EventEmitterModule.forRoot()],
      controllers: [UsersController],
      providers: [Jobs],
      configure: async (opening) => {
        opening.connectMicroservice(transport, { inheritAppConfig: true });
        await opening.startAllMicroservices();
      },
    });
    client = ClientProxyFactory.create(transport);
  });
  afterAll(async () => {
    await client.close();
    await app.close();
  });
  const runs = () => app.get(UsersController).runs;

  it.each(['above', 'below'])('a route is cached with the decorator %s the others', async (position) => {
    const before = runs();
    const get = () => request(app.getHttpServer()).get(`/users/${position}/1`).expect(200);
    const [first, second] = [await get(), await get()];
    expect(second.body).toEqual(first.body);
    expect(runs()).toBe(before + 1);
  });

  it('a guard still decides', async () => {
    await request(app.getHttpServer()).get('/users/guarded').expect(403);
  });

  it('the OpenAPI document still knows the route', () => {
    const document = SwaggerModule.createDocument(app, new DocumentBuilder().build());
    expect(document.paths['/users/above/{id}']?.get?.summary).toBe('decorated above');
    expect(document.paths['/users/below/{id}']?.get?.summary).toBe('decorated below');
  });

  it('a route evicts what its request and its arguments name', async () => {
    const cache = app.get(CacheService);
    const keys = ['user:1', 'user:2', 'name:ann', 'paged'];
    for (const key of keys) await cache.set(key, key, key === 'paged' ? { tags: ['page:3'] } : undefined);
    await request(app.getHttpServer()).put('/users/1?page=3').send({ name: 'ann' }).expect(200);
    await expect(cache.getMany(keys)).resolves.toEqual([undefined, 'user:2', undefined, undefined]);
    await request(app.getHttpServer()).delete('/users/2').expect(200);
    await expect(cache.get('user:2')).resolves.toBeUndefined();
  });

  it('a request that leaves out what names the entry is a 400, and the handler does not run', async () => {
    const before = runs();
    const response = await request(app.getHttpServer()).put('/users/1').send({ name: 'ann' }).expect(400);
    expect(response.body).toMatchObject({ message: 'query.page is required' });
    expect(runs()).toBe(before);
  });

  it('a route puts its result', async () => {
    const response = await request(app.getHttpServer()).post('/users').send({ id: '7' }).expect(201);
    await expect(app.get(CacheService).get('user:7')).resolves.toEqual(response.body);
  });

  it.each(['sum', 'product'])('a message handler is cached by its message: %s', async (pattern) => {
    const before = runs();
    const send = (numbers: number[]) => firstValueFrom(client.send<number>(pattern, numbers));
    expect([await send([2, 3]), await send([2, 3])]).toEqual([pattern === 'sum' ? 5 : 6, pattern === 'sum' ? 5 : 6]);
    expect(runs()).toBe(before + 1);
    expect(await send([4, 5, 6])).toBe(pattern === 'sum' ? 15 : 120);
  });

  it('a schedule runs the method as decorated', async () => {
    const jobs = app.get(Jobs);
    for (const name of ['above', 'below', 'above', 'below']) {
      await app.get(SchedulerRegistry).getCronJob(name).fireOnTick();
    }
    await Promise.all([jobs.cronAbove(), jobs.cronBelow()]);
    expect(jobs.seen.splice(0).sort()).toEqual(['cron above', 'cron below']);
  });

  it('an event runs the method as decorated', async () => {
    const cache = app.get(CacheService);
    await cache.set('user:5', 1);
    await cache.set('tagged', 1, { tags: ['user:5'] });
    await app.get(EventEmitter2).emitAsync('user.changed', '5');
    expect(app.get(Jobs).seen.splice(0).sort()).toEqual(['event above 5', 'event below 5']);
    await expect(cache.getMany(['user:5', 'tagged'])).resolves.toEqual([undefined, undefined]);
  });
});
