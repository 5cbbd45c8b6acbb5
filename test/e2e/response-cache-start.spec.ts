import 'reflect-metadata';
import {
  Body,
  Controller,
  Get,
  Injectable,
  Logger,
  type MessageEvent,
  Param,
  Post,
  Sse,
  type Type,
} from '@nestjs/common';
import { ApplicationConfig } from '@nestjs/core';
import { MessagePattern } from '@nestjs/microservices';
import { EMPTY, type Observable } from 'rxjs';
import { Cacheable, CacheEvict, type CacheModuleOptions, Idempotent, RateLimit } from '../../src/index.ts';
import { openHttpApp } from '../support/http-app.ts';

const start = async (controllers: Type[], providers: Type[] = [], cache: CacheModuleOptions = {}): Promise<string> =>
  openHttpApp({ platform: 'express', controllers, providers, cache }).then(
    async (app) => {
      await app.close();
      return 'it started';
    },
    (error: unknown) => (error as Error).message,
  );

describe('@Cacheable where it cannot work stops the start', () => {
  it('on a route that is not GET (HTTP-31)', async () => {
    @Controller()
    class Wrong {
      @Post()
      @Cacheable('1m')
      create(): string {
        return 'created';
      }
    }
    await expect(start([Wrong])).resolves.toMatch(/Wrong\.create: only GET/);
  });

  it('on an event stream (HTTP-31)', async () => {
    @Controller()
    class Wrong {
      @Sse()
      @Cacheable('1m')
      events(): Observable<MessageEvent> {
        return EMPTY;
      }
    }
    await expect(start([Wrong])).resolves.toMatch(/Wrong\.events: an event stream/);
  });

  it('with what a route does not have before its handler runs', async () => {
    @Controller()
    class Wrong {
      @Get('body')
      @Cacheable({ key: 'a:{body.id}' })
      body(@Body() body: object): object {
        return body;
      }

      @Get('argument/:id')
      @Cacheable({ tags: ['a:{0}'] })
      argument(@Param('id') id: string): string {
        return id;
      }
    }
    const message = await start([Wrong]);
    expect(message).toMatch(/Wrong\.body: \{body\.id\}: a route is cached by/);
    expect(message).toMatch(/Wrong\.argument: \{0\}: a route is cached by/);
  });

  it('with options of routes on a provider, and of values on a route; all of them are named', async () => {
    @Injectable()
    class Provider {
      @Cacheable({ ttl: '1m', scope: 'public' })
      async find(): Promise<number> {
        return Promise.resolve(1);
      }

      @Cacheable('1m')
      list(): string {
        return '';
      }
    }
    @Controller()
    class Wrong {
      @Get()
      @Cacheable({ ttl: '1m', softTimeout: '1s', tier: 'l1' })
      async find(): Promise<number> {
        return Promise.resolve(1);
      }
    }
    const message = await start([Wrong], [Provider]);
    expect(message).toMatch(/Provider\.find: scope: only on routes/);
    expect(message).toMatch(/Provider\.list: it must return a promise/);
    expect(message).toMatch(/Wrong\.find: softTimeout: unknown option/);
    expect(message).toMatch(/Wrong\.find: tier: unknown option/);
  });

  it('names wrong options of the module (HTTP-31)', async () => {
    const http = {
      cacheName: '',
      reloadFloor: '1x',
      maxBody: -1,
      requestDirectives: 'no',
      ignoreQuery: 'a',
      secret: 'short',
    };
    const message = await start([], [], { http: http as never });
    for (const option of Object.keys(http)) expect(message).toContain(`http.${option}: must be`);
    expect(message).not.toContain('short');
  });

  it('names wrong options of a route when its class is defined', () => {
    const options = { ttl: '1m', scope: 'all', cookies: [1], statuses: { 500: '1m' }, vary: 'a', query: 1 };
    const declare = (): unknown => {
      class Wrong {
        @Cacheable(options as never)
        async find(): Promise<number> {
          return Promise.resolve(1);
        }
      }
      return Wrong;
    };
    for (const option of ['scope', 'cookies', 'statuses', 'vary', 'query']) {
      expect(declare).toThrow(new RegExp(`${option}: must be`));
    }
  });
});

describe('@Cacheable on a handler of messages', () => {
  it('caches values, and says so (HTTP-31)', async () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
    @Controller()
    class Messages {
      @MessagePattern('sum')
      @Cacheable('1m')
      async sum(numbers: number[]): Promise<number> {
        return Promise.resolve(numbers.length);
      }
    }
    await expect(start([Messages])).resolves.toBe('it started');
    expect(warn).toHaveBeenCalledWith(expect.stringContaining('Messages.sum answers messages'));
    warn.mockRestore();
  });
});

describe('an application', () => {
  @Controller('plain')
  class Plain {
    @RateLimit(5, 60)
    @Get()
    find(): string {
      return 'found';
    }
  }
  @Controller('cached')
  class Cached {
    @Cacheable('1m')
    @Get()
    find(): string {
      return 'found';
    }
  }
  @Controller('evicting')
  class Evicting {
    @CacheEvict({ keys: ['item:{params.id}'] })
    @Post(':id')
    async change(): Promise<string> {
      return Promise.resolve('changed');
    }
  }
  @Controller('idempotent')
  class Repeated {
    @Idempotent()
    @Post()
    create(): string {
      return 'created';
    }
  }

  it.each([
    ['none of its routes is cached or idempotent', [Plain], 0],
    ['one of them is cached', [Plain, Cached], 1],
    ['one of them evicts what its request names', [Plain, Evicting], 1],
    ['one of them is idempotent', [Plain, Repeated], 1],
    ['it has routes of all kinds', [Plain, Cached, Evicting, Repeated], 1],
  ])('pays for an interceptor only where a route needs one: %s', async (_, controllers: Type[], interceptors) => {
    const app = await openHttpApp({ platform: 'express', controllers });
    const placed = app.get(ApplicationConfig, { strict: false }).getGlobalInterceptors();
    await app.close();
    expect(placed).toHaveLength(interceptors);
  });
});
