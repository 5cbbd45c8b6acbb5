import { bytesOfText } from '../common/bounded-map.ts';
import type { Clock } from '../common/clock.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { globMatcher } from '../common/glob.ts';
import type { MemoryKeyspace } from '../common/memory-keyspace.ts';
import type { CacheEntry } from './cache-entry.ts';
import type { CacheInspector, FactsPage, KeyFacts } from './cache-inspector.interface.ts';

const NOTHING = Buffer.alloc(0);
const CURSOR = /^after-(.*)$/s;

/** Looks at the keys of this process, in the order of their names. */
export class MemoryCacheInspector implements CacheInspector {
  constructor(
    private readonly keyspace: MemoryKeyspace<CacheEntry>,
    private readonly clock: Clock,
  ) {}

  async page(pattern: string, cursor: string | undefined, limit: number): Promise<FactsPage> {
    const [form, after = ''] = CURSOR.exec(cursor ?? 'after-') ?? [];
    if (form === undefined)
      throw new InvalidOptionsError('Wrong cursor', ['cursor: must be one that a page ended with']);
    const matches = globMatcher(pattern);
    const keys = [...this.keyspace.keys((key) => key > after && matches(key))].sort();
    const shown = keys.slice(0, limit);
    const isLast = shown.length === keys.length;
    return {
      items: await this.inspect(shown),
      cursor: isLast ? null : `after-${shown.at(-1) ?? ''}`,
      scanned: this.keyspace.entries,
    };
  }

  async inspect(keys: readonly string[]): Promise<readonly KeyFacts[]> {
    return keys.flatMap((key) => this.factsOf(key));
  }

  private factsOf(key: string): KeyFacts[] {
    const record = this.keyspace.read(key);
    if (record === undefined) return [];
    const expiresAtMs = this.keyspace.expiresAt(key);
    const pttlMs = expiresAtMs === undefined ? -1 : expiresAtMs - this.clock.now();
    if (record.type === 'entry') {
      const { payload } = record.entry;
      const entry = { ...record.entry, payload: NOTHING };
      return [{ key, type: 'string', pttlMs, bytes: Buffer.byteLength(payload), entry }];
    }
    if (record.type === 'text') {
      return [{ key, type: 'string', pttlMs, bytes: bytesOfText(record.text), entry: undefined }];
    }
    return [{ key, type: record.type, pttlMs, bytes: null, entry: undefined }];
  }
}
