import type { CacheAnnouncer } from '../http-cache/cache-announcer.ts';
import { type CacheOutcome, isInNotModified, type StoredHeader } from '../http-cache/semantics.ts';
import type { ForwardedCall, Received } from './forwarded-call.ts';

/** Addressed to the cache in front of the upstream. */
const FOR_US = 'cache-tag';
const WITHOUT_BODY: ReadonlySet<number> = new Set([204, 205, 304]);

/** Sends what upstreams have answered. */
export class Answerer {
  constructor(private readonly announcer: CacheAnnouncer) {}

  /** As it is; no cache had a part in it. */
  pass(call: ForwardedCall, received: Received): void {
    this.send(call, received, []);
  }

  /** With a word about what the cache did. */
  answer(call: ForwardedCall, received: Received, outcome: CacheOutcome): void {
    this.send(call, received, this.announcer.announced(call.exchange, outcome, received.headers));
  }

  /** The client has it already; whoever records the body goes on. */
  notModified(call: ForwardedCall, { headers }: Received, outcome: CacheOutcome): void {
    const kept = Object.entries(headers).filter(([name]) => isInNotModified(name));
    const extra = this.announcer.announced(call.exchange, outcome, headers);
    call.exchange.send({ status: 304, headers: kept, extra, body: undefined });
  }

  private send({ exchange, method }: ForwardedCall, received: Received, extra: readonly StoredHeader[]): void {
    const { status, body } = received;
    const headers = Object.entries(received.headers).filter(([name]) => name !== FOR_US);
    if (method !== 'HEAD' && !WITHOUT_BODY.has(status)) {
      exchange.send({ status, headers, extra, body });
      return;
    }
    body.once('error', () => undefined);
    body.resume();
    exchange.send({ status, headers, extra, body: undefined });
  }
}
