import type { CollectionsStore } from '../../src/collections/collections-store.interface.ts';
import { CollectionsService } from '../../src/collections/collections.service.ts';
import { InvalidOptionsError, WrongTypeError } from '../../src/common/errors.ts';
import { KEY_DEFAULTS, KeySpace } from '../../src/common/keys.ts';

/** A store under test, and the means to look at and change its keys as another program would. */
export interface CollectionsSetup {
  readonly store: CollectionsStore;
  readonly putText: (fullKey: string, text: string) => Promise<unknown>;
  readonly setExpiry: (fullKey: string, seconds: number) => Promise<unknown>;
  readonly hasExpiry: (fullKey: string) => Promise<boolean>;
  readonly exists: (fullKey: string) => Promise<boolean>;
  readonly clear: () => Promise<unknown>;
  readonly close: () => Promise<void>;
}

const MAX = Number.MAX_SAFE_INTEGER;
const keys = new KeySpace(KEY_DEFAULTS);

const LAWLESS_NAMES = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
const ANY_TEXT = ['', ' ', 'a\r\nDEL b', 'nul\0', 'e\u0301', '\u00e9', '日本語', '😀', '{x}'];

export function describeCollectionsContract(name: string, open: () => Promise<CollectionsSetup>): void {
  describe(`${name}: collections`, () => {
    let setup: CollectionsSetup;
    let collections: CollectionsService;
    const exists = (key: string) => setup.exists(keys.full(key));

    beforeAll(async () => {
      setup = await open();
      collections = new CollectionsService(keys, setup.store);
    });
    beforeEach(() => setup.clear());
    afterAll(() => setup.close());

    describe('a set', () => {
      it('holds each member once and counts the new ones', async () => {
        expect(await collections.sadd('s', 'a', 'b', 'a')).toBe(2);
        expect(await collections.sadd('s', 'b', 'c')).toBe(1);
        expect((await collections.smembers('s')).sort()).toEqual(['a', 'b', 'c']);
        expect(await collections.scard('s')).toBe(3);
      });

      it('says whether it has a member', async () => {
        await collections.sadd('s', 'a');
        expect(await collections.sismember('s', 'a')).toBe(true);
        expect(await collections.sismember('s', 'b')).toBe(false);
        expect(await collections.sismember('nothing', 'a')).toBe(false);
      });

      it('counts the members it lost, and is gone with the last one', async () => {
        await collections.sadd('s', 'a', 'b', 'c');
        expect(await collections.srem('s', 'a', 'a', 'x')).toBe(1);
        expect(await exists('s')).toBe(true);
        expect(await collections.srem('s', 'b', 'c')).toBe(2);
        expect(await exists('s')).toBe(false);
        expect(await collections.srem('s', 'b')).toBe(0);
      });

      it('is empty where there is none', async () => {
        expect(await collections.smembers('nothing')).toEqual([]);
        expect(await collections.scard('nothing')).toBe(0);
        expect(await exists('nothing')).toBe(false);
      });
    });

    describe('a hash', () => {
      it('says whether a field is new or was replaced', async () => {
        expect(await collections.hset('h', 'f', 'one')).toBe(1);
        expect(await collections.hset('h', 'f', 'two')).toBe(0);
        expect(await collections.hget('h', 'f')).toBe('two');
      });

      it('has undefined for a field that is not there', async () => {
        await collections.hset('h', 'f', '');
        expect(await collections.hget('h', 'f')).toBe('');
        expect(await collections.hget('h', 'other')).toBeUndefined();
        expect(await collections.hget('nothing', 'f')).toBeUndefined();
      });

      it('gives all its fields as a plain object', async () => {
        await collections.hset('h', 'a', '1');
        await collections.hset('h', 'b', '2');
        expect(await collections.hgetall('h')).toStrictEqual({ a: '1', b: '2' });
        expect(await collections.hgetall('nothing')).toStrictEqual({});
      });

      it('counts the fields it lost, and is gone with the last one', async () => {
        await collections.hset('h', 'a', '1');
        await collections.hset('h', 'b', '2');
        expect(await collections.hdel('h', 'a', 'a', 'x')).toBe(1);
        expect(await exists('h')).toBe(true);
        expect(await collections.hdel('h', 'b')).toBe(1);
        expect(await exists('h')).toBe(false);
        expect(await collections.hdel('h', 'b')).toBe(0);
      });

      it('takes any name for a field, and pollutes nothing', async () => {
        for (const field of LAWLESS_NAMES) {
          expect(await collections.hget('h', field)).toBeUndefined();
          expect(await collections.hset('h', field, `value of ${field}`)).toBe(1);
        }
        const all = await collections.hgetall('h');
        expect(Object.keys(all).sort()).toEqual([...LAWLESS_NAMES].sort());
        expect(Object.getOwnPropertyDescriptor(all, '__proto__')?.value).toBe('value of __proto__');
        expect(Object.getPrototypeOf(all)).toBe(Object.prototype);
        expect(await collections.hdel('h', ...LAWLESS_NAMES)).toBe(LAWLESS_NAMES.length);
      });

      it('hands out objects of the caller alone', async () => {
        await collections.hset('h', 'a', '1');
        (await collections.hgetall('h'))['a'] = 'changed';
        expect(await collections.hgetall('h')).toEqual({ a: '1' });
      });
    });

    describe('a list', () => {
      it('grows at both ends, one value after the other', async () => {
        expect(await collections.rpush('l', 'c', 'd')).toBe(2);
        expect(await collections.lpush('l', 'b', 'a')).toBe(4);
        expect(await collections.lrange('l', 0, -1)).toEqual(['a', 'b', 'c', 'd']);
      });

      it('shrinks at both ends, and is gone with the last value', async () => {
        await collections.rpush('l', 'a', 'b', 'c');
        expect(await collections.lpop('l')).toBe('a');
        expect(await collections.rpop('l')).toBe('c');
        expect(await exists('l')).toBe(true);
        expect(await collections.rpop('l')).toBe('b');
        expect(await exists('l')).toBe(false);
      });

      it('has undefined at the end of nothing', async () => {
        expect(await collections.lpop('nothing')).toBeUndefined();
        expect(await collections.rpop('nothing')).toBeUndefined();
      });

      it('tells an empty value from none', async () => {
        await collections.rpush('l', '');
        expect(await collections.lpop('l')).toBe('');
      });

      it.each([
        [0, -1, ['a', 'b', 'c', 'd', 'e']],
        [1, 3, ['b', 'c', 'd']],
        [-2, -1, ['d', 'e']],
        [-100, 1, ['a', 'b']],
        [3, 100, ['d', 'e']],
        [2, 2, ['c']],
        [3, 1, []],
        [5, 9, []],
        [0, -6, []],
        [-1, -2, []],
        [-9, -7, []],
        [-MAX, MAX, ['a', 'b', 'c', 'd', 'e']],
      ])('gives the values from %d to %d, both included', async (start, stop, expected) => {
        await collections.rpush('l', 'a', 'b', 'c', 'd', 'e');
        expect(await collections.lrange('l', start, stop)).toEqual(expected);
      });

      it('is empty where there is none', async () => {
        expect(await collections.lrange('nothing', 0, -1)).toEqual([]);
      });

      it('keeps its order through thousands of changes at both ends', async () => {
        const expected: string[] = [];
        for (let i = 0; i < 40; i++) {
          const values = Array.from({ length: 50 }, (_, j) => `${i}.${j}`);
          await collections[i % 2 === 0 ? 'rpush' : 'lpush']('l', ...values);
          if (i % 2 === 0) expected.push(...values);
          else expected.unshift(...values.reverse());
          expect(await collections.lpop('l')).toBe(expected.shift());
          expect(await collections.rpop('l')).toBe(expected.pop());
        }
        expect(await collections.lrange('l', 0, -1)).toEqual(expected);
      });
    });

    describe('a counter', () => {
      it('starts at 0 and says the new count', async () => {
        expect(await collections.incr('c')).toBe(1);
        expect(await collections.incrby('c', 41)).toBe(42);
        expect(await collections.incrby('c', -2)).toBe(40);
        expect(await collections.decr('c')).toBe(39);
        expect(await collections.decr('other')).toBe(-1);
        expect(await collections.incrby('zero', 0)).toBe(0);
      });

      it('counts every call of many at once', async () => {
        const counts = await Promise.all(Array.from({ length: 200 }, () => collections.incr('c')));
        expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 200 }, (_, i) => i + 1));
      });

      it('goes on from text that another program wrote', async () => {
        await setup.putText(keys.full('c'), '-7');
        expect(await collections.incrby('c', 10)).toBe(3);
      });

      it.each(['', ' 1', '1 ', '+1', '01', '-0', '1.5', '1e3', '0x10', 'one', '--1', '-'])(
        'refuses the text %j, which is no counter',
        async (text) => {
          await setup.putText(keys.full('c'), text);
          await expect(collections.incr('c')).rejects.toBeInstanceOf(WrongTypeError);
          await expect(collections.incr('c')).rejects.toBeInstanceOf(WrongTypeError);
        },
      );

      it.each([1, -1])('counts exactly up to the last safe integer (sign %d), and not further', async (sign) => {
        expect(await collections.incrby('c', sign * (MAX - 50))).toBe(sign * (MAX - 50));
        for (let i = 49; i >= 0; i--) expect(await collections.incrby('c', sign)).toBe(sign * (MAX - i));
        const tooFar = collections.incrby('c', sign);
        await expect(tooFar).rejects.toBeInstanceOf(InvalidOptionsError);
        await expect(tooFar).rejects.toThrow(/must stay within ±\(2\^53 - 1\).*received -?1$/s);
        await expect(collections.incrby('c', sign * MAX)).rejects.toBeInstanceOf(InvalidOptionsError);
        expect(await collections.incrby('c', 0)).toBe(sign * MAX);
        expect(await collections.incrby('c', -sign)).toBe(sign * (MAX - 1));
      });

      it('leaves alone a count of another program that is beyond the safe integers', async () => {
        await setup.putText(keys.full('c'), '9223372036854775807');
        await expect(collections.incrby('c', -MAX)).rejects.toBeInstanceOf(InvalidOptionsError);
        await setup.putText(keys.full('c'), '-99999999999999999999999999');
        await expect(collections.incr('c')).rejects.toBeInstanceOf(InvalidOptionsError);
      });

      it('keeps its expiry', async () => {
        await collections.incr('c');
        expect(await setup.hasExpiry(keys.full('c'))).toBe(false);
        await setup.setExpiry(keys.full('c'), 60);
        await collections.incr('c');
        expect(await setup.hasExpiry(keys.full('c'))).toBe(true);
      });
    });

    it('keeps the expiry of a collection that changes', async () => {
      await collections.sadd('s', 'a');
      await collections.hset('h', 'f', 'v');
      await collections.rpush('l', 'a');
      for (const key of ['s', 'h', 'l']) await setup.setExpiry(keys.full(key), 60);
      await collections.sadd('s', 'b');
      await collections.hset('h', 'f', 'w');
      await collections.lpush('l', 'b');
      for (const key of ['s', 'h', 'l']) expect(await setup.hasExpiry(keys.full(key))).toBe(true);
    });

    it.each(ANY_TEXT)('gives %j back unchanged', async (text) => {
      await collections.sadd('s', text);
      await collections.hset('h', text, text);
      await collections.rpush('l', text);
      expect(await collections.smembers('s')).toEqual([text]);
      expect(await collections.hgetall('h')).toEqual({ [text]: text });
      expect(await collections.lrange('l', 0, 0)).toEqual([text]);
    });

    it('stores a number as its text', async () => {
      await collections.sadd('s', 1, '1', 2.5);
      await collections.hset('h', 7, -0.5);
      await collections.rpush('l', 1e21, 0);
      expect((await collections.smembers('s')).sort()).toEqual(['1', '2.5']);
      expect(await collections.sismember('s', 1)).toBe(true);
      expect(await collections.hget('h', '7')).toBe('-0.5');
      expect(await collections.lrange('l', 0, -1)).toEqual(['1e+21', '0']);
    });

    it.each(LAWLESS_NAMES)('takes %j for an ordinary key and member', async (text) => {
      expect(await collections.smembers(text)).toEqual([]);
      expect(await collections.sismember(text, text)).toBe(false);
      expect(await collections.sadd(text, text)).toBe(1);
      expect(await collections.smembers(text)).toEqual([text]);
      expect(await collections.srem(text, text)).toBe(1);
    });

    it('keeps what lives under different keys apart', async () => {
      await collections.sadd('a', 'x');
      await collections.sadd('b', 'y');
      expect(await collections.smembers('a')).toEqual(['x']);
      expect(await exists('c')).toBe(false);
    });

    describe('of another kind', () => {
      const operations: Record<'set' | 'hash' | 'list' | 'counter', (() => Promise<unknown>)[]> = {
        set: [
          () => collections.sadd('k', 'a'),
          () => collections.srem('k', 'a'),
          () => collections.sismember('k', 'a'),
          () => collections.smembers('k'),
          () => collections.scard('k'),
        ],
        hash: [
          () => collections.hset('k', 'f', 'v'),
          () => collections.hget('k', 'f'),
          () => collections.hgetall('k'),
          () => collections.hdel('k', 'f'),
        ],
        list: [
          () => collections.lpush('k', 'a'),
          () => collections.rpush('k', 'a'),
          () => collections.lpop('k'),
          () => collections.rpop('k'),
          () => collections.lrange('k', 0, -1),
        ],
        counter: [() => collections.incr('k'), () => collections.incrby('k', 2), () => collections.decr('k')],
      };
      const kinds = Object.keys(operations) as (keyof typeof operations)[];
      const pairs = kinds.flatMap((held) => kinds.filter((used) => used !== held).map((used) => [held, used] as const));

      it.each(pairs)('a %s refuses every operation of a %s, and stays', async (held, used) => {
        await operations[held][0]!();
        for (const operate of operations[used]) await expect(operate()).rejects.toBeInstanceOf(WrongTypeError);
        await expect(operations[held][0]!()).resolves.toBeDefined();
      });
    });
  });
}
