import type { CacheEngine } from '../cache/cache-engine.ts';
import type { CacheService } from '../cache/cache.service.ts';
import { epochStamp } from '../cache/cache-tags.ts';
import { InvalidKeyError } from '../common/errors.ts';
import { escapeGlob } from '../common/glob.ts';
import { pathOf } from '../http-cache/request-key.ts';
import { pathStamp } from '../http-cache/response-cache.ts';
import type { CacheCatalog, Reach } from './cache-catalog.ts';
import type { KeyBrowser, KeyMeta } from './key-browser.ts';

export type InvalidationBy = 'key' | 'keys' | 'pattern' | 'tag' | 'namespace' | 'path' | 'all';

export interface Invalidation {
  readonly by: InvalidationBy;
  /** Empty for `all`, one or more keys for `keys`, else one text. */
  readonly values: readonly string[];
  readonly mode: 'delete' | 'expire';
  readonly maxKeys: number;
}

/** What an invalidation would do. */
export interface Preview {
  readonly matched: number;
  readonly sample: readonly string[];
  /** There are more keys than were counted. */
  readonly truncated: boolean;
}

/** Says how far it has come, and whether to stop. */
export interface Progress {
  readonly scanned: (count: number) => void;
  readonly affected: (count: number) => void;
  readonly isCancelled: () => boolean;
}

export interface InvalidationParts {
  readonly cache: CacheService;
  readonly engine: CacheEngine;
  readonly browser: KeyBrowser;
  readonly catalog: CacheCatalog;
}

const SAMPLE = 20;
const PAGE = 500;
/** Counting stops after this long: a page of keys may hold none that matches. */
const COUNT_MS = 3_000;

/** Finds what an operator wants gone, and has it gone. */
export class Invalidations {
  constructor(private readonly parts: InvalidationParts) {}

  /** Reads only. @throws InvalidKeyError for a part of the cache whose keys cannot be told from others */
  async preview(wanted: Invalidation): Promise<Preview> {
    const reach = this.#reachOf(wanted);
    if (reach === 'nothing') throw new InvalidKeyError('a function makes these keys: name them by a tag or a pattern');
    const found: string[] = [];
    const endsAt = performance.now() + COUNT_MS;
    for await (const page of this.#pages(wanted)) {
      found.push(...page.map(({ key }) => key));
      if (found.length > wanted.maxKeys || performance.now() > endsAt) {
        const matched = Math.min(found.length, wanted.maxKeys);
        return { matched, sample: found.slice(0, SAMPLE), truncated: true };
      }
    }
    const distinct = [...new Set(found)];
    return { matched: distinct.length, sample: distinct.slice(0, SAMPLE), truncated: false };
  }

  /** How many keys it has affected. What is invalidated by name is so at once, however many keys there are. */
  async run(wanted: Invalidation, preview: Preview, progress?: Progress): Promise<number> {
    const { cache, engine, browser } = this.parts;
    const [value = ''] = wanted.values;
    if (wanted.by === 'key' || wanted.by === 'keys') {
      const keys = [...new Set(wanted.values)].map((key) => browser.fullKey(key));
      return wanted.mode === 'delete' ? engine.invalidator.del(keys) : engine.invalidator.spoil(keys);
    }
    const reach = this.#reachOf(wanted);
    const isWhole = !preview.truncated && progress === undefined && reach !== 'rest';
    if (wanted.by === 'tag') {
      await (wanted.mode === 'delete' ? cache.delByTag(value) : cache.expireByTag(value));
      return preview.matched;
    }
    if (wanted.by === 'path') {
      // Whoever has the page, and whatever its key is made of: responses carry the version of their path.
      await engine.invalidator.bump([pathStamp(normalPath(value))], wanted.mode);
      return preview.matched;
    }
    if (wanted.mode === 'delete' && isWhole) {
      if (wanted.by === 'all') {
        await cache.reset();
        return preview.matched;
      }
      if (reach === 'epoch') {
        await cache.namespace(value).reset();
        return preview.matched;
      }
      return engine.invalidator.delPattern(this.#patternOf(wanted));
    }
    if (wanted.mode === 'expire' && isWhole && wanted.by === 'all') {
      await engine.invalidator.bump([epochStamp('')], 'expire');
      return preview.matched;
    }
    return this.#runByKey(wanted, progress);
  }

  async delete(key: string): Promise<number> {
    return this.parts.engine.invalidator.del([this.parts.browser.fullKey(key)]);
  }

  /** @throws InvalidKeyError for an empty pattern */
  async deletePattern(pattern: string): Promise<number> {
    return this.parts.engine.invalidator.delPattern(this.parts.browser.patternOf({ match: pattern }));
  }

  /** Stale from now on, kept for its grace. */
  async spoil(key: string): Promise<number> {
    return this.parts.engine.invalidator.spoil([this.parts.browser.fullKey(key)]);
  }

  async expire(key: string, ttlMs: number): Promise<boolean> {
    return this.parts.engine.invalidator.expire(this.parts.browser.fullKey(key), ttlMs);
  }

  async #runByKey(wanted: Invalidation, progress?: Progress): Promise<number> {
    const { invalidator } = this.parts.engine;
    let affected = 0;
    for await (const page of this.#pages(wanted)) {
      if (progress?.isCancelled() === true) break;
      const keys = page.map(({ key }) => this.parts.browser.fullKey(key)).slice(0, wanted.maxKeys - affected);
      const count = wanted.mode === 'delete' ? await invalidator.del(keys) : await invalidator.spoil(keys);
      affected += count;
      progress?.scanned(page.length);
      progress?.affected(count);
      if (affected >= wanted.maxKeys) break;
    }
    return affected;
  }

  async *#pages(wanted: Invalidation): AsyncGenerator<readonly KeyMeta[]> {
    const { browser } = this.parts;
    const [value = ''] = wanted.values;
    if (wanted.by === 'key' || wanted.by === 'keys') {
      const found = await Promise.all([...new Set(wanted.values)].map((key) => browser.describe(key)));
      yield found.filter((meta) => meta !== undefined);
      return;
    }
    const query = this.#queryOf(wanted);
    let cursor: string | undefined;
    do {
      const page = await browser.list(query, cursor, PAGE);
      yield page.items.filter((meta) => isMeant(meta, wanted.by, value));
      cursor = page.cursor ?? undefined;
    } while (cursor !== undefined);
  }

  /** Of a namespace. */
  #reachOf({ by, values: [value = ''] }: Invalidation): Reach | undefined {
    return by === 'namespace' ? this.parts.catalog.reachOf(value) : undefined;
  }

  #patternOf(wanted: Invalidation): string {
    return this.parts.browser.patternOf(this.#queryOf(wanted));
  }

  #queryOf({ by, values: [value = ''] }: Invalidation): { namespace?: string; match?: string } {
    switch (by) {
      case 'namespace':
        return { namespace: value };
      case 'pattern':
        return { match: value };
      case 'path':
        return { match: `http:1:*:get:*${escapeGlob(normalPath(value))}*` };
      default:
        return {};
    }
  }
}

const isMeant = ({ key, tags }: KeyMeta, by: InvalidationBy, value: string): boolean => {
  if (by === 'tag') return tags.includes(value);
  return by !== 'path' || isAt(key, normalPath(value));
};

/** As the keys of responses have it. */
const normalPath = (value: string): string => pathOf(value) ?? value;

/** In the key of a response stand its handler, `:get:`, host and path, and then a query or the mark of a variant. */
function isAt(key: string, path: string): boolean {
  const address = /:get:[^/]*(\/.*)/s.exec(key)?.[1] ?? '';
  return address === path || (address.startsWith(path) && '?~#'.includes(address.charAt(path.length)));
}
