import fc from 'fast-check';
import { isStoreUnavailableError } from '../common/errors.ts';
import { MemoryKeyspace } from '../common/memory-keyspace.ts';
import { MemoryCollectionsStore } from './memory-collections.store.ts';

const MB = 1024 ** 2;

function setUp(maxBytes = MB, maxEntries = 100) {
  const keyspace = new MemoryKeyspace<string>({ maxEntries, maxBytes }, { now: () => 0 });
  return { keyspace, store: new MemoryCollectionsStore(keyspace) };
}

/** Everything that may be done to three keys, one for each kind. */
const change = fc.oneof(
  fc.record({
    act: fc.constantFrom('sadd', 'srem', 'hdel', 'lpush', 'rpush'),
    texts: fc.array(fc.constantFrom('', 'a', 'bb', 'ccc', 'жж'), { minLength: 1, maxLength: 4 }),
  }),
  fc.record({ act: fc.constantFrom('hset', 'lpop', 'rpop'), texts: fc.tuple(fc.constantFrom('a', 'bb'), fc.string()) }),
);

function apply(
  store: MemoryCollectionsStore,
  { act, texts }: { readonly act: string; readonly texts: string[] },
): void {
  const [first, second] = texts as [string, string];
  if (act === 'sadd' || act === 'srem') store[act]('set', texts);
  if (act === 'hdel') store.hdel('hash', texts);
  if (act === 'hset') store.hset('hash', first, second);
  if (act === 'lpush' || act === 'rpush') store[act]('list', texts);
  if (act === 'lpop' || act === 'rpop') store[act]('list');
}

function copyOf(store: MemoryCollectionsStore) {
  const copy = setUp();
  if (store.scard('set') > 0) copy.store.sadd('set', store.smembers('set'));
  for (const [field, value] of Object.entries(store.hgetall('hash'))) copy.store.hset('hash', field, value);
  const values = store.lrange('list', 0, -1);
  if (values.length > 0) copy.store.rpush('list', values);
  return copy;
}

describe('MemoryCollectionsStore', () => {
  it('takes the same room for the same content, however it came about', () => {
    fc.assert(
      fc.property(fc.array(change, { maxLength: 40, size: 'max' }), (changes) => {
        const { keyspace, store } = setUp();
        for (const each of changes) apply(store, each);
        const copy = copyOf(store);
        expect([keyspace.entries, keyspace.bytes]).toEqual([copy.keyspace.entries, copy.keyspace.bytes]);
      }),
    );
  });

  it('pushes cache entries out, but no collection', () => {
    const { keyspace, store } = setUp(MB, 10);
    for (let i = 0; i < 10; i++) keyspace.write(`entry${i}`, { type: 'entry', entry: 'e' }, { bytes: 1 });
    for (let i = 0; i < 10; i++) store.incrby(`counter${i}`, i);
    expect([...keyspace.keys((key) => key.startsWith('entry'))]).toEqual([]);
    keyspace.write('entry', { type: 'entry', entry: 'e' }, { bytes: 1 });
    expect(Array.from({ length: 10 }, (_, i) => store.incrby(`counter${i}`, 0))).toEqual([...Array(10).keys()]);
  });

  describe('when memory is full of collections', () => {
    const huge = 'x'.repeat(MB);
    const growing: [string, (store: MemoryCollectionsStore) => unknown][] = [
      ['sadd', (store) => store.sadd('set', ['b', huge])],
      ['hset', (store) => store.hset('hash', 'f', huge)],
      ['lpush', (store) => store.lpush('list', ['b', huge])],
      ['rpush', (store) => store.rpush('list', ['b', huge])],
      ['sadd to a new set', (store) => store.sadd('new', [huge])],
      ['hset in a new hash', (store) => store.hset('new', huge, '')],
      ['rpush to a new list', (store) => store.rpush('new', [huge])],
    ];

    it.each(growing)('refuses %s and changes nothing', (_name, grow) => {
      const { keyspace, store } = setUp();
      store.sadd('set', ['a']);
      store.hset('hash', 'f', 'v');
      store.rpush('list', ['a']);
      const { bytes, entries } = keyspace;
      expect(() => grow(store)).toThrow('memory is full');
      expect([store.smembers('set'), store.hgetall('hash'), store.lrange('list', 0, -1)]).toEqual([
        ['a'],
        { f: 'v' },
        ['a'],
      ]);
      expect([keyspace.bytes, keyspace.entries]).toEqual([bytes, entries]);
    });

    it('refuses a new counter with an error that says nothing was done, and counts on those it has', () => {
      const { store } = setUp(MB, 1);
      store.incrby('a', 1);
      let refusal: unknown;
      try {
        store.incrby('b', 1);
      } catch (error) {
        refusal = error;
      }
      expect(isStoreUnavailableError(refusal)).toBe(true);
      expect(store.incrby('a', 1)).toBe(2);
    });

    it('has room again when something was removed', () => {
      const { store } = setUp(10_000);
      const half = 'x'.repeat(6_000);
      store.rpush('list', [half]);
      expect(() => store.sadd('set', [half])).toThrow('memory is full');
      store.lpop('list');
      expect(store.sadd('set', [half])).toBe(1);
    });
  });
});
