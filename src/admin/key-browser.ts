import { copyOf } from '../cache/cache-reader.ts';
import type { CacheEngine } from '../cache/cache-engine.ts';
import type { CacheInspector, KeyFacts } from '../cache/cache-inspector.interface.ts';
import { stampNames } from '../cache/cache-tags.ts';
import { parseForeign } from '../common/codec.ts';
import { escapeGlob } from '../common/glob.ts';
import type { KeySpace } from '../common/keys.ts';
import type { CacheCatalog } from './cache-catalog.ts';

/** A key as operators see it: everything but its value. */
export interface KeyMeta {
  /** As the application names it. */
  readonly key: string;
  readonly namespace: string;
  readonly type: string;
  /** Until it is gone; null when it does not expire. */
  readonly ttlMs: number | null;
  /** Of the stored value; null for collections. */
  readonly bytes: number | null;
  readonly tier: readonly ('l1' | 'l2')[];
  readonly stale: boolean;
  readonly tags: readonly string[];
}

export interface KeyQuery {
  readonly namespace?: string | undefined;
  /** A glob within the namespace. */
  readonly match?: string | undefined;
}

export interface KeyListing {
  readonly items: readonly KeyMeta[];
  readonly cursor: string | null;
  readonly scanned: number;
}

export interface BrowserParts {
  readonly engine: CacheEngine;
  readonly inspector: CacheInspector;
  readonly keys: KeySpace;
  readonly catalog: CacheCatalog;
  /** Memory mode has one tier. */
  readonly isMemory: boolean;
}

const HASHED = /#[0-9a-f]{64}$/;
const TAG = 'tag:';

/** Looks through the keys of the application, and never beyond its prefix. */
export class KeyBrowser {
  constructor(private readonly parts: BrowserParts) {}

  async list(query: KeyQuery, cursor: string | undefined, limit: number): Promise<KeyListing> {
    const page = await this.parts.inspector.page(this.patternOf(query), cursor, limit);
    const all = await this.describeAll(page.items);
    const { namespace } = query;
    // The pattern reaches all keys when those that are meant have nothing in common.
    const isApart = namespace === undefined || this.parts.catalog.prefixOf(namespace) !== '';
    const items = isApart ? all : all.filter((meta) => meta.namespace === namespace);
    return { items, cursor: page.cursor, scanned: page.scanned };
  }

  /** The full glob for keys of a namespace; without one, for all keys. What belongs to no namespace is among all. */
  patternOf({ namespace, match = '*' }: KeyQuery): string {
    const { keys, catalog } = this.parts;
    const prefix = namespace === undefined ? '' : catalog.prefixOf(namespace);
    return keys.pattern(escapeGlob(prefix) + match);
  }

  /** Undefined when there is no such key. */
  async describe(key: string): Promise<KeyMeta | undefined> {
    const [meta] = await this.describeAll(await this.parts.inspector.inspect([this.fullKey(key)]));
    return meta;
  }

  /** The value, or undefined when there is none; not of collections. */
  async value(key: string): Promise<{ readonly value: unknown; readonly bytes: number } | undefined> {
    const found = await this.parts.engine.store.read(this.fullKey(key));
    if (found.kind === 'entry') {
      const { payload } = found.entry;
      return { value: copyOf(found.entry).value, bytes: Buffer.byteLength(payload) };
    }
    const parsed = found.kind === 'foreign' ? parseForeign(found.text) : undefined;
    return parsed && found.kind === 'foreign' ? { value: parsed.value, bytes: found.text.length } : undefined;
  }

  /** A key that was listed is taken as it is stored; one that is too long is found by its hash. */
  fullKey(key: string): string {
    const { keys } = this.parts;
    return HASHED.test(key) ? keys.root + key : keys.full(key);
  }

  /** What was invalidated by a tag or namespace is still stored, and yet gone. */
  async describeAll(all: readonly KeyFacts[]): Promise<KeyMeta[]> {
    const { engine, isMemory, keys, catalog } = this.parts;
    const names = new Set(all.flatMap(({ entry }) => stampNames(entry?.stamps ?? [])));
    const versions = await engine.tags.current([...names]);
    const nameOf = catalog.matcher();
    return all.flatMap((facts) => {
      const key = keys.strip(facts.key);
      const freshness = facts.entry === undefined ? 'fresh' : engine.tags.judge(facts.entry, versions);
      if (key === undefined || freshness === 'gone') return [];
      const isHere = isMemory || engine.local.holds(facts.key);
      return [
        {
          key,
          namespace: nameOf(key),
          type: facts.entry === undefined ? facts.type : 'value',
          ttlMs: facts.pttlMs < 0 ? null : Math.round(facts.pttlMs),
          bytes: facts.bytes,
          tier: [...(isHere ? (['l1'] as const) : []), ...(isMemory ? [] : (['l2'] as const))],
          stale: freshness === 'stale',
          tags: stampNames(facts.entry?.stamps ?? []).flatMap((name) => (name.startsWith(TAG) ? [name.slice(4)] : [])),
        },
      ];
    });
  }
}
