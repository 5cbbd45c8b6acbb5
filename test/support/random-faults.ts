import { setTimeout as sleep } from 'node:timers/promises';
import type { Coherence } from '../../src/index.ts';
import { openCacheApp, type CacheApp } from './cache-app.ts';
import { eventually } from './eventually.ts';
import { freshnessViolations, type FreshnessRules, type Invalidation, type Read } from './history.ts';
import { FaultProxy, type ProxyMode } from './proxy.ts';
import { SeededRandom } from './random.ts';
import type { TestServers } from './servers.ts';

const NODES = 3;
const KEYS = ['k0', 'k1', 'k2', 'k3', 'k4', 'k5'];
const MODES: readonly ProxyMode[] = ['reject', 'blackhole', 'drop-replies', 'drop-requests', 'cut-after-request'];
/** The promise is two seconds; the rest is for a machine that is slow today. */
const BOUND_MS = 2_500;

interface CutOff {
  readonly node: number;
  readonly from: number;
  to: number;
}

export interface RandomFaultsOptions {
  readonly server: TestServers;
  readonly seed: number;
  readonly forMs: number;
  readonly coherence?: Coherence;
}

/**
 * Applications that share a server, each behind a proxy of its own, under reads and invalidations, while now one and
 * then another is cut off from the server or only from its messages. What they did is written down and judged later.
 */
export class RandomFaults {
  readonly invalidations: Invalidation[] = [];
  readonly reads: Read[] = [];
  readonly failures: unknown[] = [];
  hitsInMemory = 0;
  private readonly cutOff: CutOff[] = [];
  private readonly source = new Map(KEYS.map((key) => [key, 0]));
  private readonly random: SeededRandom;
  private nodes: { readonly app: CacheApp; readonly proxy: FaultProxy }[] = [];
  private endAt = 0;

  constructor(private readonly options: RandomFaultsOptions) {
    this.random = new SeededRandom(options.seed);
  }

  async run(): Promise<void> {
    const { server, coherence = 'pubsub', forMs } = this.options;
    this.nodes = await Promise.all(
      Array.from({ length: NODES }, async () => {
        const proxy = await FaultProxy.start(server.port);
        const redis = { url: `redis://127.0.0.1:${proxy.port}` };
        return { proxy, app: await openCacheApp({ redis, cache: { coherence } }) };
      }),
    );
    this.endAt = performance.now() + forMs;
    const users = this.nodes.flatMap((_, node) => [this.use(node), this.use(node), this.use(node)]);
    await Promise.all([this.hurt(), ...users]);
    for (const { app } of this.nodes) await eventually(() => app.cache.getLocalStats().mode === 'server');
    for (const { app } of this.nodes) await eventually(() => app.cache.getLocalStats().journal === 0);
    await sleep(BOUND_MS);
    for (const node of this.nodes.keys()) for (const key of KEYS) await this.read(node, key);
  }

  async close(): Promise<void> {
    for (const { proxy } of this.nodes) proxy.mode = 'pass';
    await Promise.all(this.nodes.map(({ app }) => app.close()));
    await Promise.all(this.nodes.map(({ proxy }) => proxy.close()));
  }

  violations(): string[] {
    const rules: FreshnessRules = { boundMs: BOUND_MS, cutOff: this.cutOff };
    return freshnessViolations(this.invalidations, this.reads, rules);
  }

  private async use(node: number): Promise<void> {
    while (performance.now() < this.endAt) {
      const key = this.random.pick(KEYS);
      if (this.random.next() < 0.04) await this.change(node, key);
      else await this.read(node, key);
      await sleep(this.random.between(1, 6));
    }
  }

  private async change(node: number, key: string): Promise<void> {
    const version = this.source.get(key)! + 1;
    this.source.set(key, version);
    const { cache } = this.nodes[node]!.app;
    await cache.del(key);
    const at = performance.now();
    const isLocal = !cache.isRedisAvailable() || cache.getLocalStats().journal > 0;
    this.invalidations.push({ key, version, at, node, isLocal });
  }

  private async read(node: number, key: string): Promise<void> {
    const { cache } = this.nodes[node]!.app;
    const at = performance.now();
    const { loads, hits } = cache.getMetrics();
    try {
      const version = await cache.getOrSet(key, { ttl: '60s' }, async () => {
        const current = this.source.get(key)!;
        await sleep(this.random.between(2, 20));
        return current;
      });
      this.reads.push({ key, version, at, node });
      if (cache.getMetrics().hits > hits && cache.getMetrics().loads === loads) this.hitsInMemory++;
    } catch (error) {
      this.failures.push(error);
    }
  }

  private async hurt(): Promise<void> {
    await sleep(500);
    while (performance.now() < this.endAt - 3_000) {
      const node = Math.floor(this.random.next() * NODES);
      const { app, proxy } = this.nodes[node]!;
      const cutOff: CutOff = { node, from: performance.now(), to: Infinity };
      this.cutOff.push(cutOff);
      proxy.onlySubscribers = this.random.next() < 0.5;
      proxy.mode = this.random.pick(MODES);
      if (proxy.mode === 'reject') proxy.cut();
      await sleep(this.random.between(200, 1_500));
      proxy.mode = 'pass';
      proxy.cut();
      proxy.onlySubscribers = false;
      const isBack = () => app.cache.getLocalStats().mode === 'server' && app.cache.getLocalStats().journal === 0;
      await eventually(isBack, { withinMs: 5_000 });
      cutOff.to = performance.now();
    }
  }
}
