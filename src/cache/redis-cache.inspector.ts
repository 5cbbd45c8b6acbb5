import { InvalidOptionsError } from '../common/errors.ts';
import type { RedisDoor } from '../redis/availability.types.ts';
import { scanStep } from '../redis/redis.scan.ts';
import { decodeEntry } from './cache-entry.ts';
import type { CacheInspector, FactsPage, KeyFacts } from './cache-inspector.interface.ts';
import { INSPECT, type Inspection } from './cache.lua.ts';

/** Scans of one page: together they keep the server busy for well under 25 ms. */
const MAX_STEPS = 50;
const FEWEST = 10;
const MOST = 500;

/** Where a page ended: the server's position, and keys of its last step that found no room on the page. */
interface Position {
  readonly scan: string | null;
  readonly pending: readonly string[];
}

/** Looks at keys on the server: the header of an entry travels, its value does not. */
export class RedisCacheInspector implements CacheInspector {
  constructor(private readonly door: RedisDoor) {}

  async page(pattern: string, cursor: string | undefined, limit: number): Promise<FactsPage> {
    let { scan, pending } = cursor === undefined ? START : positionOf(cursor);
    const items = await this.inspect(pending.slice(0, limit));
    pending = pending.slice(limit);
    let count = Math.min(Math.max(limit, FEWEST), MOST);
    let scanned = 0;
    for (let step = 0; step < MAX_STEPS && scan !== null && items.length < limit; step++) {
      const { keys, next } = await scanStep(this.door, pattern, scan === '' ? undefined : scan, count);
      const room = limit - items.length;
      items.push(...(await this.inspect(keys.slice(0, room))));
      // Looked for again they might not be found: the server's table may shrink meanwhile.
      pending = keys.slice(room);
      scan = next;
      scanned += count;
      if (keys.length === 0) count = Math.min(2 * count, MOST);
    }
    const isLast = scan === null && pending.length === 0;
    return { items, cursor: isLast ? null : JSON.stringify([scan, ...pending]), scanned };
  }

  async inspect(keys: readonly string[]): Promise<KeyFacts[]> {
    const found = await Promise.all(keys.map((key) => this.door.run(INSPECT, key)));
    return found.flatMap((inspection, index) => factsOf(keys[index] ?? '', inspection));
  }
}

const START: Position = { scan: '', pending: [] };

function positionOf(cursor: string): Position {
  const [scan, ...pending] = JSON.parse(cursor) as unknown[];
  const isPosition = (scan === null || typeof scan === 'string') && pending.every((key) => typeof key === 'string');
  if (isPosition) return { scan, pending };
  throw new InvalidOptionsError('Wrong cursor', ['cursor: must be one that a page ended with']);
}

/** A key that only says who computes its value is not there yet. */
function factsOf(key: string, { type, pttlMs, bytes, head }: Inspection): KeyFacts[] {
  if (type === 'none') return [];
  if (type !== 'string') return [{ key, type, pttlMs, bytes: null, entry: undefined }];
  const found = decodeEntry(head);
  if (found.kind === 'absent') return [];
  return [{ key, type, pttlMs, bytes, entry: found.kind === 'entry' ? found.entry : undefined }];
}
