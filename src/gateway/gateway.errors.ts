import { HttpException } from '@nestjs/common';
import { bodyOf, BRAND, predicateOf } from '../common/errors.ts';
import { problemBody } from '../common/problem.ts';

interface Meaning {
  readonly status: number;
  readonly detail: string;
}

/** What can go wrong on the way, in the words of RFC 9209, and what the client hears of it: never where the upstream is. */
const MEANINGS = {
  dns_error: { status: 502, detail: 'The name of the upstream could not be resolved.' },
  connection_refused: { status: 502, detail: 'The upstream refused the connection.' },
  connection_terminated: { status: 502, detail: 'The upstream closed the connection before it had answered.' },
  destination_ip_unroutable: { status: 502, detail: 'There is no way to the upstream.' },
  destination_ip_prohibited: { status: 502, detail: 'The upstream is at an address that is not allowed.' },
  tls_certificate_error: { status: 502, detail: 'The certificate of the upstream is not valid.' },
  tls_protocol_error: { status: 502, detail: 'No secure connection to the upstream could be made.' },
  http_protocol_error: { status: 502, detail: 'The upstream answered with something that is not HTTP.' },
  http_response_header_section_size: { status: 502, detail: 'The upstream answered with too many headers.' },
  connection_timeout: { status: 504, detail: 'The upstream could not be reached in time.' },
  http_response_timeout: { status: 504, detail: 'The upstream did not answer in time.' },
  destination_unavailable: { status: 503, detail: 'The upstream is not available now: try again later.' },
  connection_limit_reached: {
    status: 503,
    detail: 'Too many requests to the upstream are under way: try again later.',
  },
  http_request_error: {
    status: 400,
    detail: 'The request cannot be forwarded: its path, or the number of its headers.',
  },
  http_request_denied: { status: 413, detail: 'The body of the request is too large.' },
  proxy_loop_detected: { status: 508, detail: 'The request has passed this gateway before.' },
  proxy_internal_error: { status: 502, detail: 'The request could not be forwarded.' },
} as const satisfies Readonly<Record<string, Meaning>>;

/** A token of `Proxy-Status` (RFC 9209 section 2.3). */
export type GatewayReason = keyof typeof MEANINGS;

export interface GatewayErrorDetails extends ErrorOptions {
  /** When it makes sense to try again. */
  readonly retryAfterMs?: number;
  /** In place of the usual status of the reason. */
  readonly status?: number;
}

/** Thrown when a request could not be forwarded, or no answer came: 400, 413, 431, 502, 503, 504 or 508 by `reason`. */
export class GatewayError extends HttpException {
  readonly code = 'KEEP_GATEWAY';
  readonly [BRAND] = true;
  /** Undefined unless it helps to try again. */
  readonly retryAfterMs: number | undefined;

  constructor(
    /** Its name in the options. */
    readonly upstream: string,
    readonly reason: GatewayReason,
    { retryAfterMs, status = MEANINGS[reason].status, cause }: GatewayErrorDetails = {},
    body?: object,
  ) {
    super(body ?? bodyOf(status, 'KEEP_GATEWAY', MEANINGS[reason].detail), status, { cause });
    this.message = MEANINGS[reason].detail;
    this.retryAfterMs = retryAfterMs;
  }

  /** The same as a problem of RFC 9457. */
  asProblem(): GatewayError {
    const { upstream, reason, code, message: detail, cause, retryAfterMs } = this;
    const status = this.getStatus();
    const body = problemBody({ type: 'gateway', status, detail, code }, { upstream, reason });
    return new GatewayError(
      upstream,
      reason,
      { status, cause, ...(retryAfterMs !== undefined && { retryAfterMs }) },
      body,
    );
  }
}
export const isGatewayError = predicateOf<GatewayError>('KEEP_GATEWAY');

/** The client went away: nothing was wrong with anybody else. */
export class ClientGoneError extends Error {
  constructor() {
    super('The client closed the connection');
  }
}

/** The body of the request is longer than the upstream takes. */
export class BodyTooLargeError extends Error {
  constructor() {
    super('The body of the request is too large');
  }
}

/** The time for all of it is over. */
export class TotalTimeoutError extends Error {
  constructor() {
    super('The upstream took too long');
  }
}
