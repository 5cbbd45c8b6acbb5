import fc from 'fast-check';
import { BoundedMap, bytesOfText, ENTRY_OVERHEAD_BYTES, type MapLimits } from './bounded-map.ts';

type Tested = Pick<BoundedMap<number>, 'set' | 'setPinned' | 'grow' | 'fits' | 'get' | 'peek' | 'delete'>;

interface Item {
  readonly key: string;
  readonly value: number;
  readonly cost: number;
  isVisited: boolean;
}

/** The same on a plain array, oldest first; slow and obvious. */
class NaiveSieve implements Tested {
  queue: Item[] = [];
  pinned: Item[] = [];
  readonly evicted: string[] = [];
  /** The item to look at next; without one the oldest. */
  private hand: Item | undefined;
  private evictedInRound = 0;

  constructor(private readonly limits: MapLimits) {}

  get items(): Item[] {
    return [...this.queue, ...this.pinned];
  }

  get bytes(): number {
    return this.items.reduce((total, item) => total + item.cost, 0);
  }

  get(key: string): number | undefined {
    const item = this.find(key);
    if (item) item.isVisited = true;
    return item?.value;
  }

  peek(key: string): number | undefined {
    return this.find(key)?.value;
  }

  fits(key: string, bytes: number): boolean {
    return this.fitsWithout(key, costOf(key, bytes));
  }

  set(key: string, value: number, bytes: number): boolean {
    return this.put(key, value, costOf(key, bytes), 'queue');
  }

  setPinned(key: string, value: number, bytes: number): boolean {
    return this.put(key, value, costOf(key, bytes), 'pinned');
  }

  grow(key: string, byBytes: number): boolean {
    const item = this.find(key);
    if (!item || !this.fitsWithout(key, item.cost + byBytes)) return false;
    return this.put(key, item.value, item.cost + byBytes, this.pinned.includes(item) ? 'pinned' : 'queue');
  }

  delete(key: string): boolean {
    const item = this.find(key);
    if (!item) return false;
    if (this.hand === item) this.hand = this.queue[this.queue.indexOf(item) + 1];
    this.queue = this.queue.filter((other) => other !== item);
    this.pinned = this.pinned.filter((other) => other !== item);
    return true;
  }

  private find(key: string): Item | undefined {
    return this.items.find((item) => item.key === key);
  }

  private fitsWithout(key: string, cost: number): boolean {
    const others = this.pinned.filter((item) => item.key !== key);
    const bytes = others.reduce((total, item) => total + item.cost, cost);
    return bytes <= this.limits.maxBytes && others.length < this.limits.maxEntries;
  }

  private put(key: string, value: number, cost: number, where: 'queue' | 'pinned'): boolean {
    const isVisited = this.find(key)?.isVisited ?? false;
    this.delete(key);
    if (!this.fitsWithout(key, cost)) return false;
    while (this.bytes + cost > this.limits.maxBytes || this.items.length + 1 > this.limits.maxEntries) this.evict();
    this[where].push({ key, value, cost, isVisited });
    return true;
  }

  private evict(): void {
    if (this.evictedInRound >= 16 * this.queue.length) this.hand = undefined;
    let item = this.hand === undefined || this.hand === this.queue[0] ? this.oldest() : this.hand;
    while (item.isVisited) {
      item.isVisited = false;
      item = this.queue[this.queue.indexOf(item) + 1] ?? this.oldest();
    }
    this.hand = item;
    this.delete(item.key);
    this.evicted.push(item.key);
    this.evictedInRound++;
  }

  private oldest(): Item {
    this.evictedInRound = 0;
    return this.queue[0]!;
  }
}

const costOf = (key: string, bytes: number): number => bytesOfText(key) + bytes + ENTRY_OVERHEAD_BYTES;

interface Command {
  readonly act: keyof Tested;
  readonly key: string;
  readonly bytes: number;
}

const command: fc.Arbitrary<Command> = fc.record({
  act: fc.constantFrom('set', 'set', 'set', 'get', 'get', 'get', 'peek', 'delete', 'setPinned', 'grow', 'fits'),
  key: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j'),
  bytes: fc.integer({ min: 0, max: 400 }),
});
const limits = fc.record({
  maxEntries: fc.integer({ min: 1, max: 8 }),
  maxBytes: fc.integer({ min: 200, max: 2_000 }),
});

function run(map: Tested, { act, key, bytes }: Command): unknown {
  switch (act) {
    case 'set':
    case 'setPinned':
      return map[act](key, bytes, bytes);
    case 'grow':
      return map.grow(key, bytes % 2 === 0 ? bytes : -Math.min(bytes, 50));
    case 'fits':
      return map.fits(key, bytes);
    case 'get':
    case 'peek':
    case 'delete':
      return map[act](key);
  }
}

describe('BoundedMap, against the naive form of its algorithm', () => {
  it('gives the same answers, evicts the same entries and never exceeds a limit', () => {
    fc.assert(
      fc.property(limits, fc.array(command, { maxLength: 200, size: 'max' }), (bounds, commands) => {
        const evicted: string[] = [];
        const map = new BoundedMap<number>(bounds, (evictedKey) => {
          evicted.push(evictedKey);
          expect(map.bytes).toBeLessThanOrEqual(bounds.maxBytes);
        });
        const model = new NaiveSieve(bounds);
        for (const step of commands) {
          expect([step, run(map, step)]).toEqual([step, run(model, step)]);
          expect([evicted, map.bytes, map.size]).toEqual([model.evicted, model.bytes, model.items.length]);
          expect(new Map(map)).toEqual(new Map(model.items.map((item) => [item.key, item.value])));
          expect(map.size <= bounds.maxEntries && map.bytes <= bounds.maxBytes).toBe(true);
        }
      }),
      { numRuns: 100 },
    );
  });
});
