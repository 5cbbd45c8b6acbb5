import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { METRICS } from '../../src/metrics/metrics.ts';
import { promtool } from '../support/promtool.ts';
import { SampleProcess } from '../support/sample.ts';

const page = readFileSync(join(__dirname, '../../docs/metrics.md'), 'utf8');
const withoutCode = (text = ''): string => text.replaceAll('`', '').trim();
const named = METRICS.map((metric) => ({ ...metric, name: `cache_${metric.name}` }));

/** Cells of every table row that begins with the name of a metric. */
const documented = page
  .split('\n')
  .filter((line) => line.startsWith('| `cache_'))
  .map((line) => line.split('|').slice(1, -1).map(withoutCode));

describe('docs/metrics.md', () => {
  it('has a row for every metric: type, labels and meaning', () => {
    expect(documented).toEqual(
      named.map(({ name, kind, labels, help }) => [name, kind.toLowerCase(), labels.join(', '), help]),
    );
  });

  it('names no other metric', () => {
    const mentioned = new Set(
      (page.match(/\bcache_[a-z_]+[a-z]\b/g) ?? []).map((name) => name.replace(/_bucket$/, '')),
    );
    expect([...mentioned].filter((name) => !named.some((metric) => metric.name === name))).toEqual([]);
  });
});

describe('a scrape of the sample', () => {
  let scrape: string;
  beforeAll(async () => {
    const sample = await SampleProcess.start();
    try {
      await sample.get('/products/1');
      await sample.get('/products/1');
      scrape = (await sample.get('/metrics')).text;
    } finally {
      await sample.stop();
    }
  });

  it.each(named.map((metric) => [metric.name, metric] as const))('has %s', (name, { help, kind }) => {
    expect(scrape).toContain(`# HELP ${name} ${help}\n# TYPE ${name} ${kind.toLowerCase()}\n`);
  });

  it('has no metric of the cache that is not documented', () => {
    const exposed = [...scrape.matchAll(/^# TYPE (cache_\w+)/gm)].map(([, name]) => name);
    expect(exposed.sort()).toEqual(named.map(({ name }) => name).sort());
  });

  it('counts what happened, responses and methods apart', () => {
    expect(scrape).toMatch(/^cache_hits_total\{cache="CatalogController\.find",tier="l1"\} 1$/m);
    expect(scrape).toMatch(/^cache_loads_total\{cache="CatalogService.find"\} 1$/m);
    // The second response was a hit; the first one and the method behind it were not.
    expect(scrape).toMatch(/^cache_hit_rate\{window="1m"\} 0\.333\d*$/m);
    expect(scrape).toMatch(/^cache_factory_duration_seconds_count\{cache="CatalogService.find"\} 1$/m);
  });

  it('has nothing that Prometheus would complain about', () => {
    const ours = scrape.split('\n').filter((line) => /^(# \w+ )?cache_/.test(line));
    expect(promtool(['check', 'metrics'], `${ours.join('\n')}\n`)).toEqual({ isContent: true, says: '' });
  }, 120_000);
});
