import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { CacheStatsReader, LocalStats } from '../cache/cache-stats.ts';
import type { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import { shownText } from '../common/shown-text.ts';
import { Telemetry } from '../common/telemetry.ts';
import { isServerCircuit } from '../redis/server-circuit.ts';
import { DecisionsAlone } from './decisions-alone.ts';
import {
  HEALTH_DEFAULTS,
  type HealthOptions,
  type HealthStatus,
  type ResolvedHealthOptions,
} from './health.options.ts';

/** What `CacheHealthIndicator` says; it holds no secret. */
export interface CacheHealth {
  readonly status: HealthStatus;
  readonly mode: LocalStats['mode'];
  /** Set where `status` cannot say so: @nestjs/terminus before 12.1 knows `up` and `down` only. */
  readonly degraded?: true;
  /** Why it is not simply up. */
  readonly reason?: string;
  /** Since when, as an ISO date. */
  readonly since?: string;
  /** Changes that the server has not heard of yet. */
  readonly journal: number;
  readonly openBreakers: readonly string[];
  /** Rate limits and locks that were decided in this process alone, while that went on or less than a minute ago. */
  readonly decidedHere?: { readonly rateLimits: number; readonly locks: number };
}

/** Something that is not as it should be. */
interface Trouble {
  readonly status: HealthStatus;
  readonly reason: string;
  readonly sinceMs: number;
}

const SEVERITY: Readonly<Record<HealthStatus, number>> = { up: 0, degraded: 1, down: 2 };
const MAX_BREAKERS = 20;

/**
 * The health of the cache for @nestjs/terminus, or for a route of one's own. It asks nobody: what it says is known.
 *
 * While the server is away the application goes on without it, so that is `degraded` (HTTP 200) unless it is
 * configured to be `down`.
 *
 * @publicApi
 */
@Injectable()
export class CacheHealthIndicator implements OnModuleInit {
  /** Since when breakers are not closed. */
  readonly #openSince = new Map<string, number>();
  readonly #alone: DecisionsAlone;
  #knowsDegraded = true;

  constructor(
    private readonly stats: CacheStatsReader,
    private readonly circuits: CircuitBreakerService,
    private readonly options: ResolvedHealthOptions = HEALTH_DEFAULTS,
    telemetry = new Telemetry(),
  ) {
    this.#alone = new DecisionsAlone(telemetry);
    circuits.onStateChange(({ name, to }) => {
      if (to === 'CLOSED') this.#openSince.delete(name);
      else if (!this.#openSince.has(name)) this.#openSince.set(name, Date.now());
    });
  }

  async onModuleInit(): Promise<void> {
    this.#knowsDegraded = await knowsDegraded();
  }

  /** What to hand to `HealthCheckService.check([() => indicator.check()])`. `options` replace those of the module. */
  check<K extends string = 'cache'>(key = 'cache' as K, options: HealthOptions = {}): Record<K, CacheHealth> {
    return { [key]: this.#health({ ...this.options, ...options }) } as Record<K, CacheHealth>;
  }

  /** `check`, as Terminus' own indicators with one question call it. */
  isHealthy<K extends string = 'cache'>(key = 'cache' as K, options: HealthOptions = {}): Record<K, CacheHealth> {
    return this.check(key, options);
  }

  #health(options: ResolvedHealthOptions): CacheHealth {
    const { mode, journal, degradedSince, degradedReason } = this.stats.local();
    const open = this.#openBreakers();
    const openBreakers = open.slice(0, MAX_BREAKERS).map((name) => shownText(name));
    const troubles: Trouble[] = [];
    if (degradedSince !== null) {
      const reason = `the server cannot be used: ${degradedReason ?? mode}`;
      troubles.push({ status: options.onOutage, reason, sinceMs: degradedSince });
    }
    const alone = this.#alone.look();
    if (alone !== undefined) {
      const reason = `decided without the server: ${alone.rateLimits} rate limits, ${alone.locks} locks`;
      troubles.push({ status: options.onOutage, reason, sinceMs: alone.sinceMs });
    }
    if (openBreakers.length > 0) {
      const reason = `open breakers: ${openBreakers.join(', ')}`;
      const sinceMs = Math.min(...open.map((name) => this.#openSince.get(name) ?? Date.now()));
      troubles.push({ status: options.onOpenBreaker, reason, sinceMs });
    }
    const decidedHere = alone && { rateLimits: alone.rateLimits, locks: alone.locks };
    return { ...this.#verdict(troubles), mode, journal, openBreakers, ...(decidedHere && { decidedHere }) };
  }

  #verdict(troubles: readonly Trouble[]): Pick<CacheHealth, 'status' | 'degraded' | 'reason' | 'since'> {
    const [first, ...others] = troubles.toSorted((one, other) => SEVERITY[other.status] - SEVERITY[one.status]);
    if (first === undefined) return { status: 'up' };
    const isUnderstood = first.status !== 'degraded' || this.#knowsDegraded;
    return {
      ...(isUnderstood ? { status: first.status } : { status: 'up', degraded: true }),
      reason: [first, ...others].map(({ reason }) => shownText(reason, 300)).join('; '),
      since: new Date(first.sinceMs).toISOString(),
    };
  }

  /** Those of the application: the one in front of the server shows as the outage it brings. */
  #openBreakers(): string[] {
    const open = Object.values(this.circuits.getStats()).filter(
      ({ state }) => state === 'OPEN' || state === 'ISOLATED',
    );
    return open.map(({ name }) => name).filter((name) => !isServerCircuit(name));
  }
}

/** Whether the installed Terminus, if any, takes `degraded` for an answer: an older one would answer 503. */
async function knowsDegraded(): Promise<boolean> {
  try {
    const { HealthIndicatorService } = await import('@nestjs/terminus');
    return 'degraded' in new HealthIndicatorService().check('cache');
  } catch {
    return true;
  }
}
