import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { METRICS, type MetricDefinition } from '../../src/metrics/cache-metrics.definitions.ts';
import { SampleProcess } from '../support/sample.ts';

const page = readFileSync(join(__dirname, '../../docs/metrics.md'), 'utf8');
const withoutCode = (text = ''): string => text.replaceAll('`', '').trim();

/** Cells of every table row that begins with the name of a metric. */
const documented = page
  .split('\n')
  .filter((line) => line.startsWith('| `cache_'))
  .map((line) => line.split('|').slice(1, -1).map(withoutCode));

const labelsOf = ({ labels = {} }: MetricDefinition): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}="${value}"`)
    .join(', ');

describe('docs/metrics.md', () => {
  it('has a row for every metric: type, labels and meaning', () => {
    expect(documented).toEqual(
      METRICS.map((metric) => [metric.name, metric.kind.toLowerCase(), labelsOf(metric), metric.help]),
    );
  });

  it('names no other metric', () => {
    const named = new Set(page.match(/\bcache_[a-z_]+\b/g));
    expect([...named].filter((name) => !METRICS.some((metric) => metric.name === name))).toEqual([]);
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

  it.each(METRICS.map((metric) => [metric.name, metric] as const))('has %s', (name, metric) => {
    const labels = labelsOf(metric).replace(/^(.+)$/, '{$1}');
    expect(scrape).toContain(`# HELP ${name} ${metric.help}\n# TYPE ${name} ${metric.kind.toLowerCase()}\n`);
    expect(scrape).toMatch(new RegExp(`^${escaped(name + labels)} [\\d.]+$`, 'm'));
  });

  it('has no metric of the cache that is not documented', () => {
    const exposed = [...scrape.matchAll(/^# TYPE (cache_\w+)/gm)].map(([, name]) => name);
    expect(exposed.sort()).toEqual(METRICS.map(({ name }) => name).sort());
  });

  it('counts what happened', () => {
    expect(scrape).toMatch(/^cache_hits_total 1$/m);
    expect(scrape).toMatch(/^cache_loads_total 1$/m);
    expect(scrape).toMatch(/^cache_hit_rate\{window="all"\} 0\.5$/m);
  });
});

const escaped = (literal: string): string => literal.replace(/[{}".]/g, '\\$&');
