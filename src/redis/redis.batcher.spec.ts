import { setImmediate as nextTurn } from 'node:timers/promises';
import { type BatchTransport, RedisBatcher } from './redis.batcher.ts';
import type { RedisClient } from './redis.client.ts';
import { defineScript } from './redis.script.ts';

const ECHO = defineScript({ name: 'test.echo', args: ['text'], body: 'return text', reply: String });
const MEGABYTE = 'x'.repeat(1024 ** 2);

/** What was sent, by size; answered when the test says so. */
class Transport implements BatchTransport {
  readonly sent: { readonly keys: readonly string[]; readonly answer: (error?: Error) => void }[] = [];

  execute<T>(_operation: string, command: (client: RedisClient) => Promise<T>): Promise<T> {
    let keys: readonly string[] = [];
    const values = () => Promise.resolve(keys.map((key) => Buffer.from(key)));
    const client = {
      getBuffer: async (key: string) => ((keys = [key]), (await values())[0]),
      mgetBuffer: (several: readonly string[]) => ((keys = several), values()),
      callBuffer: (_: string, [, count, ...rest]: [string, number, ...string[]]) => (
        (keys = rest.slice(0, count)),
        values()
      ),
    };
    const result = command(client as unknown as RedisClient);
    return new Promise((resolve, reject) => {
      const answer = (error?: Error) => (error === undefined ? resolve(result) : reject(error));
      this.sent.push({ keys, answer });
    });
  }

  fail(_operation: string, error: Error): Error {
    return error;
  }

  get sizes(): readonly number[] {
    return this.sent.map(({ keys }) => keys.length);
  }
}

describe('the batches of a turn', () => {
  let transport: Transport;
  let batcher: RedisBatcher;
  const afterThisCallback = () => new Promise<void>((resolve) => process.nextTick(resolve));

  beforeEach(() => {
    transport = new Transport();
    batcher = new RedisBatcher(transport, { takesSeveralKeys: true });
  });

  it('do not wait for anybody after one that has failed', async () => {
    const failing = batcher.get('a');
    await afterThisCallback();
    transport.sent[0]?.answer(new Error('no answer'));
    await expect(failing).rejects.toThrow('no answer');
    void batcher.get('b');
    await afterThisCallback();
    expect(transport.sizes).toEqual([1, 1]);
  });

  it('leave early when they are large, and the next ones do not', async () => {
    void batcher.run(ECHO, 'large', [MEGABYTE]);
    expect(transport.sizes).toEqual([1]);
    for (const key of ['a', 'b', 'c']) void batcher.run(ECHO, key, ['small']);
    await nextTurn();
    expect(transport.sizes).toEqual([1, 3]);
  });

  it('leave when they are full, so that the server works on one while the next one is made', async () => {
    for (let key = 0; key < 5; key += 1) void batcher.run(ECHO, `key:${key}`, ['x'.repeat(4 * 1024)]);
    expect(transport.sizes).toEqual([2, 2]);
    await nextTurn();
    expect(transport.sizes).toEqual([2, 2, 1]);
  });

  it('leave early when they are long, and the next ones do not', async () => {
    for (let key = 0; key < 130; key += 1) void batcher.get(`key:${key}`);
    expect(transport.sizes).toEqual([128]);
    await nextTurn();
    expect(transport.sizes).toEqual([128, 2]);
  });
});
