import { setTimeout as sleep } from 'node:timers/promises';
import type { CircuitBreaker } from '../circuit-breaker/circuit-breaker.handle.ts';
import type { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import { deltaSeconds, headerOf } from '../http-cache/semantics.ts';
import {
  BodyTooLargeError,
  ClientGoneError,
  GatewayError,
  type GatewayReason,
  TotalTimeoutError,
} from './gateway.errors.ts';
import type { ResolvedUpstream } from './gateway.options.ts';
import { hasTooManyLines } from './hop-headers.ts';
import { RetryBudget } from './retry-budget.ts';
import type { UpstreamClient, WireRequest, WireResponse } from './upstream-client.ts';
import { gatewayErrorOf } from './upstream-failure.ts';

export interface UpstreamParts {
  readonly name: string;
  readonly options: ResolvedUpstream;
  readonly client: UpstreamClient;
  readonly circuits: CircuitBreakerService;
}

/** How one attempt ended. An answer of 500 and above is one, although the breaker counts it as a failure. */
type Attempt =
  | { readonly kind: 'answer'; readonly response: WireResponse }
  | { readonly kind: 'failure'; readonly error: GatewayError };

type Send = (request: WireRequest) => Promise<WireResponse>;

/** An answer that the breaker is to count as a failure. */
class FaultyAnswer extends Error {
  constructor(readonly response: WireResponse) {
    super(`The upstream answered with ${response.status}`);
  }
}

const RETRIED_METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD']);
const RETRIED_STATUSES: ReadonlySet<number> = new Set([502, 503, 504]);
const RETRIED_REASONS: ReadonlySet<GatewayReason> = new Set([
  'dns_error',
  'connection_refused',
  'connection_terminated',
  'connection_timeout',
  'destination_ip_unroutable',
]);
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 1_000;
/** What an upstream may ask us to wait before a retry; for longer the client can wait itself. */
const LONGEST_RETRY_AFTER_MS = 2_000;
/** A full pool and a spent budget are over soon. */
const SOON_MS = 1_000;

/** One service: sends requests to it within their time, behind its breaker, and again where that helps. */
export class Upstream {
  readonly name: string;
  readonly options: ResolvedUpstream;
  private readonly client: UpstreamClient;
  private readonly circuits: CircuitBreakerService;
  private readonly circuit: CircuitBreaker<[WireRequest], WireResponse> | undefined;
  private readonly budget: RetryBudget;
  private underWay = 0;

  /** @throws InvalidOptionsError when there is another circuit of its name, with other options */
  constructor({ name, options, client, circuits }: UpstreamParts) {
    const { breaker, retry } = options;
    this.name = name;
    this.options = options;
    this.client = client;
    this.circuits = circuits;
    this.budget = new RetryBudget(retry?.budget ?? 0);
    this.circuit =
      breaker &&
      circuits.create(this.send, { ...breaker, name: circuitOf(name), timeout: false, errorFilter: isNeutral });
  }

  /**
   * The answer of the upstream, whatever its status.
   * @throws GatewayError when there is none; ClientGoneError when nobody wants it any more
   */
  async fetch(request: WireRequest): Promise<WireResponse> {
    if (this.underWay >= this.options.connections) {
      throw new GatewayError(this.name, 'connection_limit_reached', { retryAfterMs: SOON_MS });
    }
    const call = new Call(request, this.options.timeouts.totalMs);
    this.underWay += 1;
    const end = () => {
      this.underWay -= 1;
      call.end();
    };
    try {
      const response = await this.answerTo(call);
      response.body.once('error', (error) => this.brokeOff(error));
      response.body.once('close', end);
      return response;
    } catch (error) {
      end();
      throw call.isClientGone
        ? new ClientGoneError()
        : gatewayErrorOf(this.name, call.isOver ? call.signal.reason : error);
    }
  }

  close(): Promise<void> {
    return this.client.close();
  }

  private async answerTo(call: Call): Promise<WireResponse> {
    this.budget.requested();
    for (let retries = 0; ; retries++) {
      const attempt = await this.attempt(call.request(this.options.tellDeadline));
      const pauseMs = this.pauseBefore(retries, attempt, call);
      if (pauseMs === undefined || call.isOver) return answerOf(attempt);
      if (!this.budget.take()) {
        if (attempt.kind === 'answer') return attempt.response;
        throw new GatewayError(this.name, 'destination_unavailable', { retryAfterMs: SOON_MS, cause: attempt.error });
      }
      if (attempt.kind === 'answer') discard(attempt.response);
      await sleep(pauseMs, undefined, { signal: call.signal });
    }
  }

  private async attempt(request: WireRequest): Promise<Attempt> {
    try {
      const response = await (this.circuit === undefined ? this.send(request) : this.circuit.fire(request));
      return { kind: 'answer', response };
    } catch (error) {
      if (error instanceof FaultyAnswer) return { kind: 'answer', response: error.response };
      if (error instanceof ClientGoneError) throw error;
      return { kind: 'failure', error: gatewayErrorOf(this.name, error) };
    }
  }

  private readonly send: Send = async (request) => {
    const response = await this.client.send(request);
    const fault = faultOf(response);
    if (fault !== undefined) {
      discard(response);
      throw new GatewayError(this.name, fault);
    }
    if (response.status >= 500) throw new FaultyAnswer(response);
    return response;
  };

  /** How long to wait before another attempt; undefined when there is not to be one. */
  private pauseBefore(retries: number, attempt: Attempt, { method, hasBody, leftMs }: Call): number | undefined {
    const { retry } = this.options;
    if (retry === undefined || retries >= retry.max || hasBody || !RETRIED_METHODS.has(method)) return undefined;
    // One trial call is all that a breaker lets through, and its outcome is what it decides by.
    if (this.circuit !== undefined && !this.circuit.closed) return undefined;
    if (!isWorthRetrying(attempt)) return undefined;
    const jitteredMs = Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** retries);
    const askedMs = attempt.kind === 'answer' ? retryAfterOf(attempt.response) : 0;
    const pauseMs = Math.max(jitteredMs, askedMs);
    return askedMs > LONGEST_RETRY_AFTER_MS || pauseMs >= leftMs ? undefined : pauseMs;
  }

  /** Began well and did not end: to the breaker that is a failed call beside the one that had begun. */
  private brokeOff(error: Error): void {
    if (this.circuit === undefined || isNeutral(error)) return;
    this.circuits.execute(circuitOf(this.name), () => Promise.reject(error)).catch(() => undefined);
  }
}

/** What the breaker of an upstream is called, apart from those of the application. */
const circuitOf = (upstream: string): string => `gateway:${upstream}`;

/** A request on its way, with the time that it has and whoever waits for it. */
class Call {
  readonly method: string;
  readonly hasBody: boolean;
  private readonly controller = new AbortController();
  private readonly endsAtMs: number;
  private readonly timer: NodeJS.Timeout;
  private readonly leave = () => this.controller.abort(new ClientGoneError());

  constructor(
    private readonly original: WireRequest,
    totalMs: number,
  ) {
    this.method = original.method;
    this.hasBody = original.body !== undefined;
    this.endsAtMs = performance.now() + totalMs;
    this.timer = setTimeout(() => this.controller.abort(new TotalTimeoutError()), totalMs).unref();
    if (original.signal.aborted) this.leave();
    else original.signal.addEventListener('abort', this.leave, { once: true });
  }

  get signal(): AbortSignal {
    return this.controller.signal;
  }

  get leftMs(): number {
    return this.endsAtMs - performance.now();
  }

  get isOver(): boolean {
    return this.signal.aborted;
  }

  get isClientGone(): boolean {
    return this.original.signal.aborted || this.signal.reason instanceof ClientGoneError;
  }

  request(tellDeadline: boolean): WireRequest {
    const { original, signal } = this;
    if (!tellDeadline) return { ...original, signal };
    const deadline = { 'x-request-timeout-ms': String(Math.max(1, Math.floor(this.leftMs))) };
    return { ...original, signal, headers: { ...original.headers, ...deadline } };
  }

  end(): void {
    clearTimeout(this.timer);
    this.original.signal.removeEventListener('abort', this.leave);
  }
}

/** Says nothing about the health of an upstream. A body that we gave up has the last code. */
const isNeutral = (error: unknown): boolean =>
  error instanceof ClientGoneError ||
  error instanceof BodyTooLargeError ||
  (error as { readonly code?: unknown } | null)?.code === 'UND_ERR_ABORTED';

/** What a client could not be told. */
function faultOf({ status, headers }: WireResponse): GatewayReason | undefined {
  if (hasTooManyLines(headers)) return 'http_response_header_section_size';
  return status > 599 ? 'http_protocol_error' : undefined;
}

function answerOf(attempt: Attempt): WireResponse {
  if (attempt.kind === 'failure') throw attempt.error;
  return attempt.response;
}

const isWorthRetrying = (attempt: Attempt): boolean =>
  attempt.kind === 'answer' ? RETRIED_STATUSES.has(attempt.response.status) : RETRIED_REASONS.has(attempt.error.reason);

const retryAfterOf = ({ headers }: WireResponse): number =>
  (deltaSeconds(headerOf(headers, 'retry-after') ?? '') ?? 0) * 1_000;

/** An answer that nobody will read. */
export function discard({ body }: WireResponse): void {
  body.once('error', () => undefined);
  body.destroy();
}
