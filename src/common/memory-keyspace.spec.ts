import type { MapLimits } from './bounded-map.ts';
import { WrongTypeError } from './errors.ts';
import { type KeyspaceRecord, MemoryKeyspace } from './memory-keyspace.ts';

const ROOMY: MapLimits = { maxEntries: 100_000, maxBytes: 2 ** 30 };

class TestClock {
  ms = 1_700_000_000_000;
  now(): number {
    return this.ms;
  }
}

function setUp(limits = ROOMY) {
  const clock = new TestClock();
  const keyspace = new MemoryKeyspace<string>(limits, clock);
  const put = (key: string, ttlMs?: number, record = entry(key)) =>
    keyspace.write(key, record, { expiresAtMs: ttlMs === undefined ? undefined : clock.now() + ttlMs, bytes: 10 });
  return { clock, keyspace, put };
}

const entry = (value: string): KeyspaceRecord<string> => ({ type: 'entry', entry: value });
const text = (value: string): KeyspaceRecord<string> => ({ type: 'text', text: value });
const everyKey = () => true;

describe('MemoryKeyspace', () => {
  it('reads what was written, and nothing under another key', () => {
    const { keyspace, put } = setUp();
    put('a');
    expect([keyspace.read('a'), keyspace.read('b')]).toEqual([entry('a'), undefined]);
  });

  it.each(['__proto__', 'constructor', 'toString'])('takes %j for an ordinary key', (key) => {
    const { keyspace, put } = setUp();
    expect(keyspace.read(key)).toBeUndefined();
    put(key);
    expect([keyspace.read(key), keyspace.delete(key), keyspace.read(key)]).toEqual([entry(key), true, undefined]);
  });

  it('refuses to read a record as another type, and says which it is', () => {
    const { keyspace, put } = setUp();
    put('counter', undefined, text('5'));
    expect(keyspace.readAs('counter', 'text')).toEqual(text('5'));
    expect(keyspace.readAs('nothing', 'hash')).toBeUndefined();
    expect(() => keyspace.readAs('counter', 'hash')).toThrow(WrongTypeError);
    expect(() => keyspace.readAs('counter', 'hash')).toThrow('The key holds text, not a hash');
  });

  describe('expiry', () => {
    it('ends a record at its time and not before', () => {
      const { clock, keyspace, put } = setUp();
      put('a', 1_000);
      clock.ms += 999;
      expect(keyspace.read('a')).toEqual(entry('a'));
      clock.ms += 1;
      expect([keyspace.read('a'), keyspace.entries, keyspace.bytes]).toEqual([undefined, 0, 0]);
    });

    it('makes a record absent for every operation', async () => {
      const { clock, keyspace, put } = setUp();
      for (const key of ['a', 'b', 'c', 'd', 'e']) put(key, 1_000);
      clock.ms += 1_000;
      expect([...keyspace.keys(everyKey)]).toEqual([]);
      expect([keyspace.delete('a'), keyspace.expiresAt('b'), keyspace.setExpiry('c', 1)]).toEqual([
        false,
        undefined,
        false,
      ]);
      expect([keyspace.readAs('d', 'set'), await keyspace.deleteMatching(everyKey)]).toEqual([undefined, 0]);
    });

    it('is told, moved and taken away', () => {
      const { clock, keyspace, put } = setUp();
      put('a', 1_000);
      put('forever');
      expect([keyspace.expiresAt('a'), keyspace.expiresAt('forever')]).toEqual([clock.ms + 1_000, undefined]);
      expect([keyspace.setExpiry('a', clock.ms + 5), keyspace.expiresAt('a')]).toEqual([true, clock.ms + 5]);
      expect([keyspace.setExpiry('a', undefined), keyspace.expiresAt('a')]).toEqual([true, undefined]);
      clock.ms += 10_000;
      expect(keyspace.read('a')).toEqual(entry('a'));
    });

    it('ends with the record it was given to', () => {
      const { clock, keyspace, put } = setUp();
      put('a', 1_000);
      put('a');
      clock.ms += 10_000;
      expect(keyspace.read('a')).toEqual(entry('a'));
    });
  });

  it('lists and deletes by key', async () => {
    const { keyspace, put } = setUp();
    for (const key of ['user:1', 'user:2', 'feed:1']) put(key);
    const isUser = (key: string) => key.startsWith('user:');
    expect([...keyspace.keys(isUser)]).toEqual(['user:1', 'user:2']);
    expect([await keyspace.deleteMatching(isUser), [...keyspace.keys(everyKey)]]).toEqual([2, ['feed:1']]);
  });

  it('lets others have their turn while many keys are deleted, and ends although they write', async () => {
    const { keyspace, put } = setUp({ maxEntries: 60_000, maxBytes: 1e9 });
    for (let i = 0; i < 50_000; i++) put(`key:${i}`);
    let [turns, isOver] = [0, false];
    const flood = (): void => {
      put(`key:later:${turns++}`);
      if (!isOver) setImmediate(flood);
    };
    flood();
    expect(await keyspace.deleteMatching((key) => key.startsWith('key:'))).toBeGreaterThanOrEqual(50_000);
    isOver = true;
    expect(turns).toBeGreaterThanOrEqual(49);
    expect(keyspace.entries).toBeLessThanOrEqual(turns);
    expect(keyspace.read('key:0')).toBeUndefined();
  });

  it('may be changed while its keys are read', () => {
    const { keyspace, put } = setUp();
    for (const key of ['a', 'b', 'c']) put(key);
    for (const key of keyspace.keys((name) => name.length === 1)) {
      keyspace.delete(key);
      put(`${key}${key}`);
    }
    expect([...keyspace.keys(everyKey)]).toEqual(['aa', 'bb', 'cc']);
  });

  it('forgets everything at once', () => {
    const { keyspace, put } = setUp();
    put('a');
    put('b', undefined, text('5'));
    keyspace.clear();
    expect([keyspace.entries, keyspace.bytes, keyspace.read('a')]).toEqual([0, 0, undefined]);
  });

  describe('when it is full', () => {
    const SMALL: MapLimits = { maxEntries: 4, maxBytes: 2 ** 20 };

    it('evicts entries and tells about them', () => {
      const evicted: string[] = [];
      const keyspace = new MemoryKeyspace<number>(SMALL, new TestClock(), (key) => evicted.push(key));
      for (let i = 0; i < 6; i++) keyspace.write(`k${i}`, { type: 'entry', entry: i }, { bytes: 8 });
      expect([evicted, keyspace.entries]).toEqual([['k0', 'k1'], 4]);
    });

    it('drops an entry that is too large, and the older one under its key', () => {
      const { keyspace, put } = setUp(SMALL);
      put('a');
      expect(keyspace.write('a', entry('huge'), { bytes: 2 ** 20 })).toBe(false);
      expect(keyspace.read('a')).toBeUndefined();
    });

    it('never evicts a counter, a set, a hash or a list', () => {
      const { keyspace, put } = setUp(SMALL);
      put('counter', undefined, text('5'));
      put('set', undefined, { type: 'set', members: new Set(['m']) });
      put('hash', undefined, { type: 'hash', fields: new Map([['f', 'v']]) });
      for (let i = 0; i < 100; i++) put(`k${i}`);
      expect(['counter', 'set', 'hash'].map((key) => keyspace.read(key)?.type)).toEqual(['text', 'set', 'hash']);
      expect(keyspace.entries).toBe(4);
    });

    it('refuses a counter for which nothing may go, and changes nothing', () => {
      const { keyspace, put } = setUp(SMALL);
      for (let i = 0; i < 4; i++) put(`counter${i}`, undefined, text('1'));
      expect(() => put('one more', undefined, text('1'))).toThrow('memory.write was not executed: memory is full');
      expect(put('counter0', undefined, text('2'))).toBe(true);
      expect([...keyspace.keys(everyKey)]).toEqual(['counter0', 'counter1', 'counter2', 'counter3']);
    });

    it('refuses the growth of a record for which nothing may go', () => {
      const { keyspace, put } = setUp(SMALL);
      put('counter', undefined, text('1'));
      const { bytes } = keyspace;
      expect(() => keyspace.grow('counter', 2 ** 20)).toThrow('memory is full');
      expect(keyspace.bytes).toBe(bytes);
    });

    it('takes the room of counters that have expired', () => {
      const { clock, keyspace, put } = setUp(SMALL);
      for (let i = 0; i < 4; i++) put(`counter${i}`, 1_000, text('1'));
      clock.ms += 1_000;
      put('one more', undefined, text('1'));
      expect([...keyspace.keys(everyKey)]).toEqual(['one more']);
    });

    it('takes the room of expired records for one that grows', () => {
      const { clock, keyspace, put } = setUp(SMALL);
      put('counter', undefined, text('1'));
      keyspace.write('old', text('1'), { expiresAtMs: clock.now() + 1_000, bytes: 2 ** 19 });
      clock.ms += 1_000;
      keyspace.grow('counter', 2 ** 19 + 2 ** 18);
      expect(keyspace.entries).toBe(1);
    });
  });

  describe('sweeping', () => {
    const WITHIN_MS = 30_000;

    beforeEach(() => {
      jest.useFakeTimers();
    });
    afterEach(() => {
      jest.useRealTimers();
    });

    it('removes expired records within half a minute, and only those', () => {
      const { clock, keyspace, put } = setUp();
      for (let i = 0; i < 2_500; i++) put(`old${i}`, 1_000);
      for (let i = 0; i < 2_500; i++) put(`young${i}`, 60_000);
      put('forever');
      keyspace.startSweeping();
      clock.ms += 1_000;
      jest.advanceTimersByTime(WITHIN_MS);
      expect(keyspace.entries).toBe(2_501);
      keyspace.stopSweeping();
    });

    it('looks at no more than a thousand records in one turn of the event loop', () => {
      const { clock, keyspace, put } = setUp();
      for (let i = 0; i < 3_500; i++) put(`old${i}`, 1_000);
      keyspace.startSweeping();
      clock.ms += 1_000;
      const left: number[] = [];
      for (let turn = 0; turn < 4; turn++) {
        jest.advanceTimersToNextTimer();
        left.push(keyspace.entries);
      }
      expect(left).toEqual([2_500, 1_500, 500, 0]);
      keyspace.stopSweeping();
    });

    it('goes on through records that come and go meanwhile', () => {
      const { clock, keyspace, put } = setUp();
      for (let i = 0; i < 3_000; i++) put(`old${i}`, 1_000);
      keyspace.startSweeping();
      clock.ms += 1_000;
      jest.advanceTimersToNextTimer();
      for (let i = 1_000; i < 2_000; i++) keyspace.delete(`old${i}`);
      for (let i = 0; i < 1_000; i++) put(`young${i}`, 60_000);
      jest.advanceTimersByTime(WITHIN_MS);
      expect(keyspace.entries).toBe(1_000);
      keyspace.stopSweeping();
    });

    it('comes back, and stops for good when told', () => {
      const { clock, keyspace, put } = setUp();
      keyspace.startSweeping();
      keyspace.startSweeping();
      for (let round = 0; round < 3; round++) {
        put('a', 1_000);
        clock.ms += 1_000;
        jest.advanceTimersByTime(WITHIN_MS);
        expect(keyspace.entries).toBe(0);
      }
      for (let i = 0; i < 3_000; i++) put(`old${i}`, 1_000);
      clock.ms += 1_000;
      jest.advanceTimersToNextTimer();
      keyspace.stopSweeping();
      expect([jest.getTimerCount(), keyspace.entries]).toEqual([0, 2_000]);
    });

    it('does not keep the process alive', () => {
      jest.useRealTimers();
      const { keyspace } = setUp();
      const started = jest.spyOn(global, 'setInterval');
      keyspace.startSweeping();
      const timer = started.mock.results[0]!.value as NodeJS.Timeout;
      expect(timer.hasRef()).toBe(false);
      keyspace.stopSweeping();
      started.mockRestore();
    });
  });
});
