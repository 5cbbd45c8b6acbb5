import 'reflect-metadata';
import { Test } from '@nestjs/testing';
import { Cacheable, CacheEvict, CachePut, RateLimit, WithCircuitBreaker, WithLock } from '../../src/index.ts';

/** A class whose method counts its runs, decorated; and how it is built where nobody provides the services. */
function decorated(decorator: MethodDecorator) {
  class Subject {
    runs = 0;

    async run(): Promise<number> {
      return Promise.resolve(++this.runs);
    }
  }
  const descriptor = Object.getOwnPropertyDescriptor(Subject.prototype, 'run')!;
  decorator(Subject.prototype, 'run', descriptor);
  Object.defineProperty(Subject.prototype, 'run', descriptor);
  return Subject;
}

const BUILDS = {
  'by hand': (type: ReturnType<typeof decorated>) => new type(),
  'in an application without the module': async (type: ReturnType<typeof decorated>) =>
    (await Test.createTestingModule({ providers: [type] }).compile()).get(type),
};

describe.each(Object.entries(BUILDS))('an instance that is built %s', (_, build) => {
  it.each([
    ['@WithCircuitBreaker', WithCircuitBreaker('circuit')],
    ['@WithLock', WithLock('lock')],
    ['@RateLimit', RateLimit(1, '1m')],
  ])('does not run a method without its %s', async (name, decorator) => {
    const subject = await build(decorated(decorator as MethodDecorator));
    await expect(subject.run()).rejects.toMatchObject({
      code: 'KEEP_INVALID_OPTIONS',
      message: expect.stringMatching(new RegExp(`Subject\\.run .*${name}[^]*CacheModule`)) as string,
    });
    expect(subject.runs).toBe(0);
  });

  it.each([
    ['@Cacheable', Cacheable('1m')],
    ['@CachePut', CachePut({ key: 'key' })],
    ['@CacheEvict', CacheEvict({ keys: 'key' })],
  ])('runs a method without its %s', async (_name, decorator) => {
    const subject = await build(decorated(decorator as MethodDecorator));
    expect([await subject.run(), await subject.run()]).toEqual([1, 2]);
  });
});
