import type { ExecutionContext } from '@nestjs/common';
import { appended, cacheStatusOf, type CacheOutcome, legacyStatusOf, statusName, withKey } from './cache-status.ts';
import type { Exchange } from './exchange.ts';
import { headerOf, type HttpHeaders } from './http-headers.ts';
import type { HeaderSwitch, ResolvedHttpOptions } from './http.options.ts';
import type { StoredHeader } from './stored-headers.ts';

/** Says what the cache did with a request, to the client and to the counters: the one place that does. */
export class CacheAnnouncer {
  private readonly name: string;

  constructor(private readonly http: ResolvedHttpOptions) {
    this.name = statusName(http.cacheName);
  }

  /** The headers that tell the client; counted here. @param upstream what the handler has already said */
  announced(exchange: Exchange, outcome: CacheOutcome, upstream?: HttpHeaders): StoredHeader[] {
    const { context, key } = exchange;
    count(exchange, outcome);
    const { status, legacy, key: keys } = this.http.headers;
    const headers: StoredHeader[] = [];
    if (isOn(status, context)) {
      const short = cacheStatusOf(this.name, outcome);
      const own = key !== undefined && isOn(keys, context) ? withKey(short, key) : short;
      headers.push(['cache-status', upstream === undefined ? own : appended(headerOf(upstream, 'cache-status'), own)]);
    }
    if (isOn(legacy, context)) headers.push(['x-cache', legacyStatusOf(outcome)]);
    return headers;
  }
}

function count({ counts }: Exchange, outcome: CacheOutcome): void {
  if (counts === undefined) return;
  if (outcome.kind === 'hit') {
    if (outcome.ttlMs > 0) counts.memoryHits++;
    else counts.stale++;
  } else if (outcome.detail === 'stale-if-error') counts.stale++;
  else counts.misses++;
  if (outcome.kind !== 'forward') return;
  if (outcome.forward === 'bypass') counts.bypassed++;
  if (outcome.isCollapsed === true) counts.coalesced++;
}

const isOn = (header: HeaderSwitch, context: ExecutionContext): boolean =>
  header === 'on' || (header !== 'off' && header(context));
