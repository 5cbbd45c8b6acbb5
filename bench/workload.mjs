#!/usr/bin/env node
/**
 * node bench/workload.mjs [--requests=5000] [--visitors=32]
 *
 * What the cache is worth to the sample: the same visitors, once with it and once without. The sample uses the server
 * that the environment names (VALKEY_URL), else its memory. Ends with 1 when a target is missed.
 */
import process from 'node:process';
import { parseArgs } from 'node:util';
import { figure, figureTable } from './lib/report.mjs';
import { startSample } from './lib/sample.mjs';
import { Shop, visit } from './lib/shop.mjs';
import { percentile } from './lib/statistics.mjs';

const { values: flags } = parseArgs({
  options: { requests: { type: 'string', default: '5000' }, visitors: { type: 'string', default: '32' } },
});
const REQUESTS = Number(flags.requests);
const VISITORS = Number(flags.visitors);
/** Share of the requests that are made before anything is counted. */
const WARMUP = 0.2;

console.log(`${REQUESTS} requests of ${VISITORS} visitors, without the cache and with it …`);
const without = await measure({ CACHE_ENABLED: 'false' });
const withCache = await measure({ CACHE_ENABLED: 'true' });

const figures = [
  figure('hit rate', withCache.hitRate * 100, { atLeast: 80, unit: ' %' }),
  figure('source reads saved', (1 - withCache.sourceReads / without.sourceReads) * 100, { atLeast: 70, unit: ' %' }),
  figure('p95 of reads, less by', (1 - withCache.p95 / without.p95) * 100, { atLeast: 40, unit: ' %' }),
  figure('extra memory', withCache.memoryMb - without.memoryMb, { atMost: 50, unit: ' MB' }),
  figure('answers older than an acknowledged change', withCache.outdated, { atMost: 0 }),
];
console.log(figureTable(figures));
const line = ({ p50, p95, sourceReads, reads, memoryMb }) =>
  `p50 ${p50.toFixed(1)} ms, p95 ${p95.toFixed(1)} ms, ${sourceReads} source reads for ${reads} requests, ${memoryMb.toFixed(0)} MB`;
console.log(`\nwithout: ${line(without)}\nwith:    ${line(withCache)}`);
process.exit(figures.every(({ reached }) => reached === 'yes') ? 0 : 1);

/** One run of the sample, from its start to its end. */
async function measure(env) {
  const sample = await startSample(env);
  try {
    const shop = new Shop(sample);
    await shop.stock();
    await visitAll(shop, { requests: REQUESTS * WARMUP, seed: 1_000 });
    const before = await stats(sample);
    shop.startCounting();
    await visitAll(shop, { requests: REQUESTS, seed: 2_000 });
    return summary(shop, before, await stats(sample));
  } finally {
    await sample.stop();
  }
}

function visitAll(shop, { requests, seed }) {
  const visits = Array.from({ length: VISITORS }, (_, at) => ({ seed: seed + at, requests: requests / VISITORS }));
  return Promise.all(visits.map((each) => visit(shop, each)));
}

async function stats({ send }) {
  const [{ body: cache }, { body: metrics }] = await Promise.all([
    send('GET', '/stats/cache'),
    send('GET', '/metrics'),
  ]);
  const [, bytes] = /^process_resident_memory_bytes (\S+)/m.exec(metrics);
  return { queries: cache.databaseQueries, counts: cache.metrics, memoryMb: Number(bytes) / 2 ** 20 };
}

function summary({ latencies, writes, outdated }, before, after) {
  const counted = (name) => after.counts[name] - before.counts[name];
  const served = counted('hits') + counted('stale');
  return {
    outdated,
    reads: latencies.length,
    hitRate: served / (served + counted('misses')),
    sourceReads: after.queries - before.queries - writes,
    p50: percentile(latencies, 0.5),
    p95: percentile(latencies, 0.95),
    memoryMb: after.memoryMb,
  };
}
