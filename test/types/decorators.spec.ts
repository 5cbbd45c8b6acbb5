/**
 * The compiler is the judge (`npm run typecheck`): every `@ts-expect-error` is a line that must not compile, and
 * everything else must. What is left to run time is that none of it throws when the class is defined.
 */
import 'reflect-metadata';
import type { ExecutionContext } from '@nestjs/common';
import { CacheEvict } from '../../src/cache/cache-evict.decorator.ts';
import { CachePut } from '../../src/cache/cache-put.decorator.ts';
import { Cacheable } from '../../src/cache/cacheable.decorator.ts';
import { Caching } from '../../src/cache/caching.decorator.ts';
import { InvalidOptionsError } from '../../src/common/errors.ts';

interface User {
  readonly id: number;
  readonly name: string;
}

const user = (id: number): User => ({ id, name: `user ${id}` });

describe('the types of the cache decorators', () => {
  it('infer the arguments and the result of the method', () => {
    class Users {
      @Cacheable({
        key: (id, options) => `user:${id.toFixed()}:${String(options.isFull)}`,
        tags: (result, id) => [result.name.trim(), id.toFixed()],
        when: (id) => id.toFixed() !== '0',
        unless: ({ name }, _id, { isFull }) => isFull && name === '',
      })
      async find(id: number, options: { isFull: boolean }): Promise<User> {
        return options.isFull ? user(id) : user(0);
      }

      @CacheEvict({ keys: (result, id) => [result.name.trim(), id.toFixed()], tags: (result) => result.name })
      async rename(id: number, name: string): Promise<User> {
        return { ...user(id), name };
      }

      @CacheEvict({ when: 'after', tags: (result, id) => [result.name.trim(), id.toFixed()] })
      @CacheEvict({ when: 'before', keys: (id) => id.toFixed() })
      @CachePut({ key: (id) => id.toFixed(), ttl: '1m', unless: (result, id) => result.id === id })
      async update(id: number): Promise<User> {
        return user(id);
      }

      @Caching([CacheEvict({ keys: (result, id) => [result.name, id.toFixed()] }), CacheEvict({ tags: ['users'] })])
      async remove(id: number): Promise<User> {
        return user(id);
      }

      @Cacheable(30)
      async bySeconds(): Promise<number> {
        return 1;
      }

      @Cacheable('30s')
      async byDuration(first: string, ...rest: number[]): Promise<string> {
        return [first, ...rest].join();
      }

      @Cacheable()
      async byDefault(): Promise<void> {
        return Promise.resolve();
      }
    }
    expect(Users).toBeDefined();
  });

  it('let a route answer at once, and give its callbacks the context', () => {
    class Routes {
      @Cacheable('30s')
      byDuration(): number {
        return 1;
      }

      @Cacheable({
        scope: (context) => context.getClass().name,
        tags: (context, { status, body }) => [context.getClass().name, status.toFixed(), body.toString('hex')],
        unless: (_context, { headers }) => headers['x-any'] === '1',
      })
      byScope(id: string): string {
        return id;
      }

      @Cacheable({ key: (context: ExecutionContext) => context.getClass().name })
      byKey(id: string): string {
        return id;
      }
    }
    expect(Routes).toBeDefined();
  });

  it('refuse a method that is not asynchronous', () => {
    class Sync {
      // @ts-expect-error -- it returns a number
      @CacheEvict({ keys: 'users' })
      evict(): number {
        return 1;
      }

      // @ts-expect-error -- it returns a number
      @CachePut({ key: 'users' })
      put(): number {
        return 1;
      }

      // @ts-expect-error -- it returns a number
      @Caching([CacheEvict({ keys: 'users' })])
      all(): number {
        return 1;
      }
    }
    expect(Sync).toBeDefined();
  });

  it('refuse callbacks that do not fit the method', () => {
    class Misfit {
      // @ts-expect-error -- the argument is a number
      @Cacheable({ key: (id: string) => id })
      async find(id: number): Promise<User> {
        return user(id);
      }

      @Cacheable({
        // @ts-expect-error -- a key is a text
        key: (id) => [id],
      })
      async list(id: number): Promise<User[]> {
        return [user(id)];
      }

      @CacheEvict({
        when: 'before',
        // @ts-expect-error -- there is no result yet, the first parameter is the argument
        keys: (id) => String(id.name),
      })
      async remove(id: number): Promise<User> {
        return user(id);
      }
    }
    expect(Misfit).toBeDefined();
  });

  it('refuse wrong options', () => {
    const decorate = (decorator: (prototype: object, property: string, descriptor: PropertyDescriptor) => void) => () =>
      decorator({}, 'find', { value: async () => 1 });
    // @ts-expect-error -- not a duration
    expect(decorate(Cacheable('20'))).toThrow(InvalidOptionsError);
    // @ts-expect-error -- inside an object a duration has a unit
    expect(decorate(Cacheable({ ttl: 30 }))).toThrow(InvalidOptionsError);
    // @ts-expect-error -- no such option
    expect(decorate(Cacheable({ ttll: '30s' }))).toThrow(InvalidOptionsError);
    // @ts-expect-error -- a put has a key
    expect(decorate(CachePut({ ttl: '30s' }))).toThrow(InvalidOptionsError);
    // @ts-expect-error -- no such moment
    expect(decorate(CacheEvict({ keys: 'a', when: 'during' }))).toThrow(InvalidOptionsError);
  });
});
