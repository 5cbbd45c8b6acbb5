import 'reflect-metadata';
import { SetMetadata } from '@nestjs/common';
import {
  type AsyncMethod,
  declarationOf,
  fillReservations,
  type Interception,
  type Invocation,
  refuseToRun,
  wrapMethod,
} from './wrap-method.ts';

class Recorder {
  readonly calls: Invocation<Recorder>[] = [];
}

/** A decorator that tells the recorder of the instance about each call and then runs the method. */
const Recorded =
  (interception: Partial<Interception<Recorder>> = {}) =>
  <M extends AsyncMethod>(prototype: object, property: string | symbol, descriptor: TypedPropertyDescriptor<M>) => {
    wrapMethod<Recorder>(prototype, property, descriptor, {
      token: Recorder,
      around: (invocation) => {
        invocation.service.calls.push(invocation);
        return invocation.proceed();
      },
      ...interception,
    });
  };

const Label = (label: string) => SetMetadata('label', label);

class Base {
  constructor(readonly id = 'base') {}

  @Recorded()
  async find(key: string, page = 1): Promise<string> {
    return `${this.id}:${key}:${page}`;
  }

  @Recorded()
  async findBoth(): Promise<string[]> {
    return [await this.find('a'), await this.find('b')];
  }
}

class Child extends Base {
  @Recorded()
  override async find(key: string): Promise<string> {
    return `child>${await super.find(key)}`;
  }
}

class Heir extends Base {}

function recorded<T extends object>(instance: T): { instance: T; recorder: Recorder } {
  const recorder = new Recorder();
  fillReservations(instance, (token) => (token === Recorder ? recorder : undefined));
  return { instance, recorder };
}
const namesOf = ({ calls }: Recorder) => calls.map(({ name }) => name);

describe('wrapMethod', () => {
  it('hands each call to its interception, with this and the arguments of the caller', async () => {
    const { instance, recorder } = recorded(new Base('own'));
    await expect(instance.find('a', 2)).resolves.toBe('own:a:2');
    expect(recorder.calls).toMatchObject([{ name: 'Base.find', args: ['a', 2], service: recorder }]);
    expect(recorder.calls[0]?.host).toBe(instance);
  });

  it('covers what the instance calls on itself', async () => {
    const { instance, recorder } = recorded(new Base());
    await expect(instance.findBoth()).resolves.toEqual(['base:a:1', 'base:b:1']);
    expect(namesOf(recorder)).toEqual(['Base.findBoth', 'Base.find', 'Base.find']);
  });

  it('gives each instance its own service', async () => {
    const [first, second] = [recorded(new Base()), recorded(new Base())];
    await first.instance.find('a');
    expect(first.recorder.calls).toHaveLength(1);
    expect(second.recorder.calls).toHaveLength(0);
  });

  it('names an inherited method by the class of the instance', async () => {
    const { instance, recorder } = recorded(new Heir());
    await instance.findBoth();
    expect(namesOf(recorder)).toEqual(['Heir.findBoth', 'Heir.find', 'Heir.find']);
  });

  it('tells a method reached through super from the override that called it', async () => {
    const { instance, recorder } = recorded(new Child());
    await expect(instance.find('a')).resolves.toBe('child>base:a:1');
    expect(namesOf(recorder)).toEqual(['Child.find', 'Child/Base.find']);
  });

  it('runs the method where there is no service', async () => {
    await expect(new Base().find('a')).resolves.toBe('base:a:1');
  });

  it('rejects where there is no service and the interception says so', async () => {
    class Guarded {
      @Recorded({
        absent: (name) => {
          throw new Error(`${name} needs its module`);
        },
      })
      async pay(): Promise<string> {
        return 'paid';
      }
    }
    await expect(new Guarded().pay()).rejects.toThrow('Guarded.pay needs its module');
  });

  it('rejects where the method must not run unprotected, naming the method and the decorator', async () => {
    const run = jest.fn(async () => Promise.resolve('paid'));
    class Guarded {
      @Recorded({ absent: refuseToRun('Recorded') })
      async pay(): Promise<string> {
        return run();
      }
    }
    await expect(new Guarded().pay()).rejects.toMatchObject({
      code: 'KEEP_INVALID_OPTIONS',
      message: expect.stringMatching(/Guarded\.pay .*@Recorded[^]*CacheModule/) as string,
    });
    expect(run).not.toHaveBeenCalled();
  });

  it('turns an exception thrown before the first await into a rejection', async () => {
    class Throwing {
      @Recorded()
      find(): Promise<void> {
        throw new Error('at once');
      }
    }
    await expect(new Throwing().find()).rejects.toThrow('at once');
  });

  it('runs a method that was taken off its instance', async () => {
    class Loose {
      @Recorded()
      async find(): Promise<string> {
        return 'found';
      }
    }
    const find = Reflect.get(new Loose(), 'find');
    await expect(find()).resolves.toBe('found');
  });

  it('runs on an object without a prototype', async () => {
    const bare = Object.assign(Object.create(null) as Base, { id: 'bare', find: Reflect.get(Base.prototype, 'find') });
    await expect(bare.find('a')).resolves.toBe('bare:a:1');
  });

  it('serves a frozen instance', async () => {
    const { instance, recorder } = recorded(Object.freeze(new Base()));
    await expect(instance.find('a')).resolves.toBe('base:a:1');
    expect(namesOf(recorder)).toEqual(['Base.find']);
  });

  it('reaches the service through a proxy around the instance', async () => {
    const { instance, recorder } = recorded(new Base());
    await new Proxy(instance, {}).find('a');
    expect(namesOf(recorder)).toEqual(['Base.find']);
  });

  it('leaves no trace in what is enumerated, copied or compared', () => {
    const { instance } = recorded(new Base('same'));
    expect(Reflect.ownKeys(Object.assign({}, instance))).toEqual(['id']);
    expect(JSON.stringify(instance)).toBe('{"id":"same"}');
    expect(instance).toEqual(new Base('same'));
  });

  it('keeps name, length, own properties and metadata of the method', () => {
    class Labelled {
      @Label('above')
      @Recorded()
      async above(first: string, second: string): Promise<string> {
        return first + second;
      }

      @Recorded()
      @Label('below')
      async below(): Promise<string> {
        return 'found';
      }
    }
    const { above, below } = Labelled.prototype as unknown as Record<string, (...args: unknown[]) => unknown>;
    expect([above!.name, above!.length]).toEqual(['above', 2]);
    expect([Reflect.getMetadata('label', above!), Reflect.getMetadata('label', below!)]).toEqual(['above', 'below']);
  });

  it('steps aside where the framework applies the rule, wherever the decorator that says so stands', async () => {
    const delegated = (method: object) => Reflect.hasMetadata('label', method);
    class Routed {
      @Label('outermost')
      @Recorded()
      @Recorded({ delegated })
      async find(): Promise<string> {
        return 'found';
      }
    }
    const { instance, recorder } = recorded(new Routed());
    await expect(instance.find()).resolves.toBe('found');
    expect(recorder.calls).toHaveLength(1);
  });

  it('shows a decorator the method as it was written, under other decorators', () => {
    const descriptor = Object.getOwnPropertyDescriptor(Base.prototype, 'find');
    const { original, name } = declarationOf(Base.prototype, 'find', descriptor);
    expect(original.toString()).toContain('page');
    expect(name).toBe('Base.find');
  });

  it.each([
    ['a static method', Base, { value: () => undefined }],
    ['a getter', Base.prototype, { get: () => undefined }],
    ['a property', Base.prototype, undefined],
  ])('refuses %s', (_, target, descriptor) => {
    const decorate = Recorded() as (target: object, property: string, descriptor: unknown) => void;
    expect(() => decorate(target, 'all', descriptor)).toThrow('Base.all is not an instance method');
  });
});
