import { PROBLEM_JSON } from '../common/problem.ts';
import type { CacheAnnouncer } from './cache-announcer.ts';
import type { CacheOutcome } from './cache-status.ts';
import type { Exchange, ReadyResponse } from './exchange.ts';
import type { StoredHeader } from './stored-headers.ts';
import type { StoredResponse } from './stored-response.ts';
import { isConditional, isNotModified } from './validators.ts';

/** Answers requests with stored responses: on the hit path nothing is parsed, serialised, hashed or copied. */
export class ResponseServer {
  constructor(private readonly announcer: CacheAnnouncer) {}

  /** @param ageMs how old it is; @param ttlMs how long it is still fresh, negative when it is stale */
  serve(exchange: Exchange, response: StoredResponse, ageMs: number, ttlMs: number): void {
    this.send(exchange, this.hit(exchange, response, ageMs, ttlMs));
  }

  /** Answers at once, and leaves the pipeline to make the response anew. */
  serveBeforehand(exchange: Exchange, response: StoredResponse, ageMs: number, ttlMs: number): void {
    exchange.sendRaw(this.hit(exchange, response, ageMs, ttlMs));
  }

  /** Answers with what somebody else's handler run has made, or would have replaced. */
  serveForwarded(exchange: Exchange, response: StoredResponse, outcome: CacheOutcome): void {
    this.send(exchange, readyOf(exchange, response, this.announcer.announced(exchange, outcome)));
  }

  /** RFC 9111 section 5.2.1.7: nothing is stored, and the client does not want the handler to be asked. */
  refuse(exchange: Exchange): void {
    const detail = 'There is no stored response, and the request allows no other one.';
    const problem = { type: 'about:blank', title: 'Gateway Timeout', status: 504, detail };
    const body = JSON.stringify({ ...problem, statusCode: 504, message: detail });
    exchange.send({ status: 504, headers: [['content-type', PROBLEM_JSON]], extra: [], body });
  }

  private send(exchange: Exchange, ready: ReadyResponse): void {
    // Where it is a decorator of the route it is there before the handler runs.
    exchange.response.removeHeader('cache-tag');
    exchange.send(ready);
  }

  private hit(exchange: Exchange, response: StoredResponse, ageMs: number, ttlMs: number): ReadyResponse {
    const extra = this.announcer.announced(exchange, { kind: 'hit', ttlMs });
    extra.push(['age', String(Math.floor(ageMs / 1_000))]);
    return readyOf(exchange, response, extra);
  }
}

function readyOf({ conditions }: Exchange, response: StoredResponse, extra: readonly StoredHeader[]): ReadyResponse {
  const { status, headers } = response.draft;
  if (status === 200 && isConditional(conditions) && isNotModified(conditions, response.record)) {
    return { status: 304, headers: response.notModified, extra, body: undefined };
  }
  return { status, headers, extra, body: response.sendable };
}
