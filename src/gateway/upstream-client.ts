import type { Readable } from 'node:stream';
import type { Pool } from 'undici';
import { InvalidOptionsError } from '../common/errors.ts';
import type { ResolvedUpstream } from './gateway.options.ts';
import { isRefused, lookUpAllowed, RefusedAddressError } from './refused-addresses.ts';
import type { WireHeaders } from './hop-headers.ts';

/** A request as it goes over the wire. */
export interface WireRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  readonly headers: WireHeaders;
  readonly body: Readable | undefined;
  readonly signal: AbortSignal;
  /** Told of answers that come before the answer: 102, 103. */
  readonly onInterim?: ((status: number, headers: WireResponse['headers']) => void) | undefined;
}

/** The answer of an upstream; whoever gets it reads its body to the end or destroys it. */
export interface WireResponse {
  readonly status: number;
  /** By lower-case name; as they came, with those of the connection. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readable;
}

export type Undici = typeof import('undici');

/** Larger sections of headers are refused, in either direction. */
const MAX_HEADER_BYTES = 16 * 1024;

/** @throws InvalidOptionsError where undici is not installed, because only applications with a gateway need it */
export async function loadUndici(load: () => Promise<Undici> = () => import('undici')): Promise<Undici> {
  try {
    return await load();
  } catch {
    throw new InvalidOptionsError('GatewayModule cannot start', ['undici is not installed: npm install undici@7']);
  }
}

/** Connections to one upstream. Redirects are never followed: what else is there is nobody's to ask for. */
export class UpstreamClient {
  private readonly pool: Pool;

  constructor(undici: Undici, { origin, connections, timeouts, allowPrivate }: ResolvedUpstream) {
    this.pool = new undici.Pool(origin, {
      connections,
      headersTimeout: timeouts.headersMs,
      bodyTimeout: timeouts.bodyMs,
      maxHeaderSize: MAX_HEADER_BYTES,
      connect: connectorOf(undici, timeouts.connectMs, allowPrivate),
    });
  }

  /** Resolves with the head of the answer. @throws what Node and undici throw, and what the signal says */
  async send({ method, path, headers, body, signal, onInterim }: WireRequest): Promise<WireResponse> {
    const { statusCode, ...response } = await this.pool.request({
      ...{ method, path, headers, signal, body: body ?? null },
      onInfo: (interim) => onInterim?.(interim.statusCode, interim.headers),
    });
    return { status: statusCode, headers: response.headers, body: response.body };
  }

  /** What is under way is given up. */
  async close(): Promise<void> {
    await this.pool.destroy();
  }
}

/** A literal address is never looked up, so it is looked at here; a name is by the lookup of its socket. */
function connectorOf({ buildConnector }: Undici, timeout: number, allowPrivate: boolean) {
  if (allowPrivate) return buildConnector({ timeout });
  const connect = buildConnector({ timeout, lookup: lookUpAllowed });
  const guarded: typeof connect = (options, callback) => {
    if (isRefused(options.hostname)) callback(new RefusedAddressError(), null);
    else connect(options, callback);
  };
  return guarded;
}
