import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE_DEFAULTS } from '../../src/cache/cache.options.ts';
import { GET_OR_SET_RULES, type GetOrSetOptions, type SetOptions } from '../../src/cache/get-or-set.options.ts';
import { parseDuration } from '../../src/common/duration.ts';
import { CacheService } from '../../src/index.ts';

const page = readFileSync(join(__dirname, '../../docs/cache.md'), 'utf8');

/** The compiler refuses a list that is not exactly the options of the type. */
const OPTIONS: Readonly<Record<keyof GetOrSetOptions, true>> = {
  ttl: true,
  grace: true,
  staleWhileRevalidate: true,
  softTimeout: true,
  hardTimeout: true,
  jitter: true,
  tags: true,
  cacheNull: true,
  coalesce: true,
  read: true,
  earlyRefresh: true,
  tier: true,
  schema: true,
  name: true,
};
const SET_OPTIONS: Readonly<Record<keyof SetOptions, true>> = { ttl: true, grace: true, tier: true, tags: true };

/** Option, type and default of every row between this heading and the next. */
function rowsUnder(heading: string): string[][] {
  const section = page.split(`\n${heading}\n`)[1]!.split('\n#')[0]!;
  const rows = section.split('\n').filter((line) => line.startsWith('| `'));
  return rows.map((line) =>
    line
      .split(/(?<!\\)\|/)
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll('`', '')),
  );
}

describe('docs/cache.md', () => {
  const options = rowsUnder('## Options');
  const defaultOf = (option: string): string => options.find(([name]) => name === option)![2]!.replaceAll("'", '');

  it('has a row for every option of a read, and no other', () => {
    expect(options.map(([name]) => name)).toEqual(Object.keys(OPTIONS));
    expect(Object.keys(OPTIONS).sort()).toEqual([...Object.keys(GET_OR_SET_RULES), 'tags'].sort());
  });

  it('says with which defaults', () => {
    expect(parseDuration(defaultOf('ttl'))).toBe(CACHE_DEFAULTS.ttlMs);
    expect(parseDuration(defaultOf('grace'))).toBe(CACHE_DEFAULTS.graceMs);
    expect(defaultOf('jitter')).toBe(String(CACHE_DEFAULTS.jitter));
    expect(defaultOf('cacheNull')).toBe(String(CACHE_DEFAULTS.cacheNull));
    expect(defaultOf('coalesce')).toBe(CACHE_DEFAULTS.coalesce);
    expect(defaultOf('read')).toBe(CACHE_DEFAULTS.read);
    expect(defaultOf('tier')).toBe(CACHE_DEFAULTS.tier);
    expect(defaultOf('tags')).toBe(JSON.stringify(CACHE_DEFAULTS.tags));
    expect(defaultOf('staleWhileRevalidate')).toBe(String(CACHE_DEFAULTS.staleWhileRevalidate));
    expect(defaultOf('softTimeout')).toBe(String(CACHE_DEFAULTS.softTimeoutMs));
    expect(defaultOf('hardTimeout')).toBe(String(CACHE_DEFAULTS.hardTimeoutMs));
    expect(defaultOf('earlyRefresh')).toBe(String(CACHE_DEFAULTS.earlyRefresh));
    expect([defaultOf('schema'), CACHE_DEFAULTS.schema]).toEqual(['false', false]);
  });

  it('says which options a write takes', () => {
    const [, named] = /`set` and `setMany` take ([^;]+);/.exec(page)!;
    expect(named!.match(/\w+(?=`)/g)).toEqual(Object.keys(SET_OPTIONS));
  });

  it('is about every call of the service, or names the page that is', () => {
    const calls = Object.getOwnPropertyNames(CacheService.prototype).filter((name) => name !== 'constructor');
    const pages = ['cache', 'collections', 'metrics', 'locks', 'rate-limits']
      .map((name) => readFileSync(join(__dirname, `../../docs/${name}.md`), 'utf8'))
      .join('\n');
    expect(calls.filter((call) => !new RegExp(`\\b${call}\\(`).test(pages))).toEqual([]);
  });

  it('is about everything a factory can say', () => {
    const members = ['key', 'signal', 'staleValue', 'setTtl', 'setTags', 'skip', 'notModified', 'fail'];
    const rows = rowsUnder('### What a factory can say').map(([member]) => /(\w+)(\(|$)/.exec(member!)![1]);
    expect(rows).toEqual(members);
  });
});
