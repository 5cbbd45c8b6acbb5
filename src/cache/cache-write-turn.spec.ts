import { WriteTurn, type Writes } from './cache-write-turn.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';

const OPTIONS = {} as ResolvedReadOptions;
const EPOCH = ['epoch:'];

describe('WriteTurn', () => {
  let stored: string[][];
  let turn: WriteTurn;
  beforeEach(() => {
    stored = [];
    turn = new WriteTurn(async ({ keys }) => {
      stored.push([...keys]);
      if (keys.includes('bad')) throw new Error('refused');
    });
  });
  const write = (key: string, more: Partial<Writes> = {}): Promise<void> =>
    turn.add({ keys: [key], ready: [], stampNames: EPOCH, options: OPTIONS, ...more });

  it('stores together what is written in one turn under the same options, in the order it was asked for', async () => {
    await Promise.all([write('a'), write('b', { stampNames: [...EPOCH] }), write('a')]);
    await write('c');
    expect(stored).toEqual([['a', 'b', 'a'], ['c']]);
  });

  it('keeps apart what carries other tags or options', async () => {
    await Promise.all([
      write('a'),
      write('b', { stampNames: ['epoch:', 'tag:x'] }),
      write('c', { options: { ...OPTIONS } }),
    ]);
    expect(stored).toEqual([['a'], ['b'], ['c']]);
  });

  it('keeps the order of what is written to one key', async () => {
    const others = { options: { ...OPTIONS } };
    await Promise.all([write('a'), write('a', others), write('a'), write('b'), write('b', others)]);
    expect(stored).toEqual([['a'], ['a'], ['a', 'b'], ['b']]);
  });

  it('begins at once when it is flushed, and when enough was gathered', async () => {
    void write('a');
    turn.flush();
    expect(stored).toEqual([['a']]);
    const many = Array.from({ length: 129 }, (_, index) => write(`k${index}`));
    expect(stored.map((keys) => keys.length)).toEqual([1, 128]);
    await Promise.all(many);
    expect(stored.map((keys) => keys.length)).toEqual([1, 128, 1]);
  });

  it('begins when what was gathered is large, so that the server works on it meanwhile', async () => {
    const large = (key: string) => {
      const encoded = { codec: 'p', payload: 'x'.repeat(3 * 1024), bytes: 3 * 1024 };
      return write(key, { ready: [{ key, value: undefined, encoded }] });
    };
    const all = ['a', 'b', 'c', 'd'].map(large);
    expect(stored).toEqual([['a', 'b', 'c']]);
    await Promise.all(all);
    expect(stored).toEqual([['a', 'b', 'c'], ['d']]);
  });

  it('tells all of those whose writes failed together, and nobody else', async () => {
    const results = await Promise.allSettled([write('bad'), write('a'), write('b', { stampNames: [] })]);
    expect(results.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled']);
  });
});
