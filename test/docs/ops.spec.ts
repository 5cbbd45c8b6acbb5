import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { METRICS } from '../../src/metrics/metrics.ts';
import { promtool } from '../support/promtool.ts';

const root = join(__dirname, '../..');
const file = (path: string): string => readFileSync(join(root, path), 'utf8');
const names = new Set(METRICS.map(({ name }) => `cache_${name}`));
const mentionedIn = (text: string): string[] =>
  [...new Set(text.match(/\bcache_[a-z_0-9]+\b/g) ?? [])].map((name) => name.replace(/_(bucket|sum|count)$/, ''));

// That each of these metrics is in a scrape of the sample: metrics.spec.ts
it.each(['ops/grafana/dashboard.json', 'ops/prometheus/alerts.yml', 'ops/prometheus/alerts.test.yml'])(
  '%s names metrics that exist',
  (path) => {
    const mentioned = mentionedIn(file(path));
    expect(mentioned.length).toBeGreaterThan(5);
    expect(mentioned.filter((name) => !names.has(name))).toEqual([]);
  },
);

it('has alerts that Prometheus accepts, and that ring when they should and not otherwise', () => {
  const { isContent, says } = promtool(['test', 'rules', join(root, 'ops/prometheus/alerts.test.yml')]);
  expect([isContent, says]).toEqual([true, expect.stringContaining('SUCCESS') as string]);
}, 120_000);

it('has a page that says of every alert what it means and what to do', () => {
  const { groups } = parse(file('ops/prometheus/alerts.yml')) as {
    groups: { rules: { alert: string; annotations: { runbook: string } }[] }[];
  };
  const page = file('docs/operations.md');
  for (const { alert, annotations } of groups.flatMap(({ rules }) => rules)) {
    expect(page).toContain(`\n### ${alert}\n`);
    expect(annotations.runbook).toBe(`docs/operations.md#${alert.toLowerCase()}`);
  }
});

it('has a dashboard with a fixed name, a data source to choose, and no two panels in one place', () => {
  const { uid, templating, panels } = JSON.parse(file('ops/grafana/dashboard.json')) as {
    uid: string;
    templating: { list: { name: string; type: string }[] };
    panels: { gridPos: object; targets: { expr: string }[] }[];
  };
  expect(uid).toBe('nestjs-keep');
  expect(templating.list[0]).toMatchObject({ name: 'datasource', type: 'datasource' });
  expect(new Set(panels.map(({ gridPos }) => JSON.stringify(gridPos))).size).toBe(panels.length);
});

it('mounts what docker-compose.yml says is there', () => {
  for (const path of ['ops/prometheus/prometheus.yml', 'ops/grafana/provisioning/datasources/prometheus.yml']) {
    expect(existsSync(join(root, path))).toBe(true);
  }
});
