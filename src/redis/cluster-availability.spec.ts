import type { AvailabilityChange, AvailabilityState } from './availability.types.ts';
import { ClusterAvailability } from './cluster-availability.ts';
import type { RedisShard } from './redis.shard.ts';
import type { Shards, SlotRange } from './redis.shards.ts';

const SERVER = 'cluster 127.0.0.1:6379';

/** What is known of one shard; undefined before its first word. */
interface Known {
  state: AvailabilityState | undefined;
  reason: string;
  readonly slots: SlotRange[];
}

let lines: string[];
let told: AvailabilityChange[];
let isConnected: boolean;
let known: Known[];
let shards: Shards;
let cluster: ClusterAvailability;

const logger = {
  log: (line: string) => lines.push(`log ${line}`),
  warn: (line: string) => lines.push(`warn ${line}`),
  error: (line: string) => lines.push(`error ${line}`),
};

/** A shard that is what is known of it at each moment. */
const shardOf = (each: Known): RedisShard => {
  const availability = {
    get reason() {
      return each.reason;
    },
    get isKnown() {
      return each.state !== undefined;
    },
    get state() {
      return each.state ?? 'degraded';
    },
  };
  return {
    availability,
    get isAvailable() {
      return each.state === 'healthy';
    },
  } as unknown as RedisShard;
};

function shardsOf(): Shards {
  const all = known.map(shardOf);
  const slotsOf = (shard: RedisShard) => known[all.indexOf(shard)]?.slots ?? [];
  return { all, slotsOf, of: () => undefined, start: () => undefined, close: () => undefined };
}

/** All at once; undefined leaves a shard as it is. */
function become(...states: readonly (AvailabilityState | undefined)[]): void {
  states.forEach((state, index) => {
    const shard = known[index];
    if (shard === undefined || state === undefined) return;
    shard.state = state;
    cluster.update();
  });
}

const pass = (ms: number) => jest.advanceTimersByTime(ms);
const wordsOf = (said: readonly string[]) => said.map((line) => line.split(' ')[2]);

beforeEach(() => {
  jest.useFakeTimers({ now: 0 });
  [lines, told, isConnected] = [[], [], true];
  const ranges: SlotRange[] = [
    [0, 5_460],
    [5_461, 10_922],
    [10_923, 16_383],
  ];
  known = ranges.map((range, index) => ({ state: undefined, reason: `reason ${index + 1}`, slots: [range] }));
  shards = shardsOf();
  cluster = new ClusterAvailability({ server: SERVER, logger, shards: () => shards, isConnected: () => isConnected });
  cluster.onChange((change) => told.push(change));
});
afterEach(() => {
  cluster.close();
  jest.useRealTimers();
});

function becomeHealthy(): void {
  become('healthy', 'healthy', 'healthy');
  [lines, told] = [[], []];
}

describe('the start', () => {
  it('is over when every shard can be used, and says only that the cluster is connected', () => {
    expect(cluster).toMatchObject({ state: 'degraded', reason: 'not connected yet' });
    become('recovering', 'recovering', 'recovering');
    become('healthy', 'healthy');
    expect([cluster.state, told, lines]).toEqual(['degraded', [], []]);
    become(undefined, undefined, 'healthy');
    pass(1_000);
    expect(told).toEqual([{ from: 'degraded', to: 'healthy', reason: 'connected', since: 0 }]);
    expect(lines).toEqual([`log cache: healthy since 1970-01-01T00:00:00.000Z (connected): ${SERVER} is used`]);
  });

  it('does not wait for longer than it is told to, and says why', () => {
    cluster.giveUpWaiting('no answer within 2000 ms');
    pass(1_000);
    expect(lines).toEqual([
      expect.stringContaining('warn cache: degraded since 1970-01-01T00:00:00.000Z (no answer within 2000 ms)'),
    ]);
    expect(told).toEqual([]);
    cluster.giveUpWaiting('again');
    becomeHealthy();
    cluster.giveUpWaiting('too late');
    expect(cluster.state).toBe('healthy');
  });

  it('lets callers wait for its end', async () => {
    const waiting = cluster.whenHealthy();
    becomeHealthy();
    await expect(waiting).resolves.toBeUndefined();
    await expect(cluster.whenHealthy()).resolves.toBeUndefined();
  });

  it('says nothing about a cluster of which no shard is known', () => {
    shards = { ...shards, all: [] };
    cluster.update();
    expect([cluster.state, told]).toEqual(['degraded', []]);
  });
});

describe('an outage of one shard', () => {
  beforeEach(becomeHealthy);

  it('is told at once, and logged once each way, with the keys it concerns and what goes on', () => {
    pass(1_000);
    become(undefined, 'degraded');
    expect(cluster).toMatchObject({ state: 'degraded', since: 1_000 });
    expect(lines).toEqual([]);
    for (let times = 0; times < 5; times += 1) cluster.update();
    pass(4_000);
    become(undefined, 'recovering');
    become(undefined, 'healthy');
    const reason = '1 of 3 shards away: keys in slots 5461–10922 are answered from memory; reason 2';
    expect(told).toEqual([
      { from: 'healthy', to: 'degraded', reason, since: 1_000 },
      { from: 'degraded', to: 'recovering', reason: 'it answers for all slots', since: 5_000 },
      { from: 'recovering', to: 'healthy', reason: 'after 4000 ms', since: 5_000 },
    ]);
    expect(lines).toEqual([
      `warn cache: degraded since 1970-01-01T00:00:01.000Z (${reason}): ${SERVER} is used for all other keys; locks ` +
        'and collections of those refuse unless configured otherwise',
      `log cache: recovering since 1970-01-01T00:00:05.000Z (it answers for all slots): ${SERVER} answers again and is ` +
        'told what it missed',
      `log cache: healthy since 1970-01-01T00:00:05.000Z (after 4000 ms): ${SERVER} is used`,
    ]);
  });

  it('is logged although it was over before the line was written, and in this order', () => {
    become(undefined, 'degraded');
    pass(10);
    become(undefined, 'recovering');
    become(undefined, 'healthy');
    pass(1_000);
    expect(wordsOf(lines)).toEqual(['degraded', 'recovering', 'healthy']);
  });

  it('goes on while another shard is lost, too, which is one more line and no change of the state', () => {
    become('degraded');
    pass(1_000);
    become(undefined, undefined, 'degraded');
    pass(1_000);
    expect(wordsOf(lines)).toEqual(['degraded', 'degraded']);
    expect(lines[1]).toContain('degraded since 1970-01-01T00:00:00.000Z');
    expect(lines[1]).toContain('2 of 3 shards away: keys in slots 0–5460, 10923–16383 are');
    expect(told).toHaveLength(1);
  });

  it('is not told again because it has another reason by now', () => {
    become('degraded');
    pass(1_000);
    known[0]!.reason = 'ECONNREFUSED';
    cluster.update();
    pass(1_000);
    expect(cluster.reason).toContain('ECONNREFUSED');
    expect(lines).toHaveLength(1);
    expect(told).toHaveLength(1);
  });

  it('lasts from the first loss until all of it can be used, however often that was tried', () => {
    become('degraded');
    pass(1_000);
    become('recovering');
    become('degraded');
    pass(1_000);
    become('recovering');
    become('healthy');
    expect(cluster.reason).toBe('after 2000 ms');
    expect(wordsOf(lines)).toEqual(['degraded', 'recovering', 'degraded', 'recovering', 'healthy']);
    become('degraded');
    pass(300);
    become('recovering');
    become('healthy');
    expect(cluster.reason).toBe('after 300 ms');
  });

  it('is not over while one recovers and another one is away', () => {
    become('degraded', 'degraded');
    become('recovering');
    become('healthy');
    expect(cluster.state).toBe('degraded');
    expect(cluster.reason).toContain('1 of 3 shards away: keys in slots 5461–10922');
  });

  it('names a few slots only, and single ones as such', () => {
    known[0]?.slots.splice(0, 1, [7, 7], [10, 12], [20, 21], [30, 30]);
    become('degraded');
    expect(cluster.reason).toContain('keys in slots 7, 10–12, 20–21, 30 are');
    become('healthy');
    known[0]?.slots.push([40, 41]);
    become('degraded');
    expect(cluster.reason).toContain('keys in slots 7, 10–12, 20–21, 30 and others are');
  });
});

describe('an outage of all shards', () => {
  beforeEach(becomeHealthy);

  it('is one line, although they are lost one after the other', () => {
    for (const index of known.keys()) {
      become(...known.map((_, other) => (other === index ? 'degraded' : undefined)));
      pass(10);
    }
    pass(1_000);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toContain(`(reason 1): ${SERVER} cannot be used: reads are answered from memory and factories`);
    expect(told).toHaveLength(1);
  });

  it('without a connection to any node has the reason of that', () => {
    isConnected = false;
    cluster.lost('ECONNREFUSED');
    become('degraded', 'degraded', 'degraded');
    pass(1_000);
    expect(cluster).toMatchObject({ state: 'degraded', reason: 'ECONNREFUSED' });
    expect(lines).toHaveLength(1);
    // What shards were before says nothing as long as nobody can be asked.
    become('healthy', 'healthy', 'healthy');
    expect(cluster.state).toBe('degraded');
    isConnected = true;
    cluster.update();
    expect(cluster.state).toBe('healthy');
  });
});

describe('closing', () => {
  it('writes and tells nothing any more, and leaves no timer behind', () => {
    becomeHealthy();
    become('degraded');
    told = [];
    cluster.close();
    become('healthy', 'degraded');
    expect(jest.getTimerCount()).toBe(0);
    expect([lines, told]).toEqual([[], []]);
  });
});
