import { isCircuitFullError, isCircuitOpenError } from '../circuit-breaker/circuit-breaker.errors.ts';
import { BodyTooLargeError, GatewayError, type GatewayReason, TotalTimeoutError } from './gateway.errors.ts';
import { RefusedAddressError } from './refused-addresses.ts';

/** By the `code` of an error of Node or undici. */
const BY_CODE: ReadonlyMap<string, GatewayReason> = new Map([
  ...['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL', 'EAI_NODATA', 'EAI_NONAME'].map((code) => [code, 'dns_error'] as const),
  ['ECONNREFUSED', 'connection_refused'],
  ...['ECONNRESET', 'EPIPE', 'ECONNABORTED', 'UND_ERR_SOCKET'].map((code) => [code, 'connection_terminated'] as const),
  ...['EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL'].map((code) => [code, 'destination_ip_unroutable'] as const),
  ...['UND_ERR_CONNECT_TIMEOUT', 'ETIMEDOUT'].map((code) => [code, 'connection_timeout'] as const),
  ...['UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT'].map((code) => [code, 'http_response_timeout'] as const),
  ['UND_ERR_HEADERS_OVERFLOW', 'http_response_header_section_size'],
  ['EPROTO', 'tls_protocol_error'],
]);

/** Codes that come in families: llhttp, OpenSSL, and Node's about certificates. */
const BY_FAMILY: readonly (readonly [RegExp, GatewayReason])[] = [
  [/^HPE_HEADER_OVERFLOW$/, 'http_response_header_section_size'],
  [/^HPE_|^UND_ERR_(?:RES|RESPONSE|INFO)/, 'http_protocol_error'],
  [/CERT|^UNABLE_TO_|ALTNAME|SELF_SIGNED/, 'tls_certificate_error'],
  [/^ERR_SSL|^ERR_TLS/, 'tls_protocol_error'],
];

/** What an error on the way to an upstream, or back, means to the client: the one place that decides it. */
export function gatewayErrorOf(upstream: string, error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  if (error instanceof BodyTooLargeError) return new GatewayError(upstream, 'http_request_denied');
  if (isCircuitOpenError(error) || isCircuitFullError(error)) {
    return new GatewayError(upstream, 'destination_unavailable', { retryAfterMs: error.retryAfterMs, cause: error });
  }
  return new GatewayError(upstream, reasonOf(error), { cause: error });
}

function reasonOf(error: unknown): GatewayReason {
  if (error instanceof RefusedAddressError) return 'destination_ip_prohibited';
  if (error instanceof TotalTimeoutError) return 'http_response_timeout';
  // Several addresses were tried: Node says what became of each.
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors.at(-1));
  const { code, name } = (error ?? {}) as { readonly code?: unknown; readonly name?: unknown };
  // Not every fault of the parser has a code.
  if (name === 'HTTPParserError' && typeof code !== 'string') return 'http_protocol_error';
  if (typeof code !== 'string') return 'proxy_internal_error';
  return BY_CODE.get(code) ?? BY_FAMILY.find(([family]) => family.test(code))?.[1] ?? 'proxy_internal_error';
}
