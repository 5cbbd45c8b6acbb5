import type { Caller } from '../common/caller.ts';
import type { RateLimitLogger } from './rate-limit.service.ts';

/**
 * Whose word about a client's address the framework takes.
 * - `all`: everybody's, so a client may be whoever it says
 * - `hops`: as many proxies in a row; Fastify takes that for nobody's
 */
export type ProxyTrust = 'none' | 'all' | 'hops' | 'some';

/** An application of Express or an instance of Fastify. */
type Platform = object & { readonly get?: (name: string) => unknown; readonly initialConfig?: unknown };

export const isFastify = (platform: Platform): boolean => platform.initialConfig !== undefined;

export function trustOf(platform: Platform): ProxyTrust {
  const setting = isFastify(platform) ? fastifySetting(platform) : platform.get?.('trust proxy');
  if (setting === true) return 'all';
  if (typeof setting === 'number') return setting > 0 ? 'hops' : 'none';
  return setting === undefined || setting === false || setting === null || setting === '' ? 'none' : 'some';
}

/** Fastify shows its options under a symbol only. */
function fastifySetting(platform: Platform): unknown {
  const symbol = Object.getOwnPropertySymbols(platform).find(({ description }) => description === 'fastify.options');
  const options =
    symbol === undefined ? undefined : (Reflect.get(platform, symbol) as { trustProxy?: unknown } | undefined);
  return options?.trustProxy;
}

const FORWARDED = ['x-forwarded-for', 'forwarded'] as const;

/** Says once what makes every client of a proxy look like one, or one look like many. */
export class ProxyWarnings {
  #isDone = false;

  constructor(private readonly logger: RateLimitLogger) {}

  consider({ request }: Caller): void {
    if (this.#isDone || FORWARDED.every((name) => request.headers[name] === undefined)) return;
    const { app, server } = request as { readonly app?: Platform; readonly server?: Platform };
    const platform = app ?? server;
    if (platform === undefined) return;
    this.#isDone = true;
    const trust = trustOf(platform);
    if (trust === 'none') {
      this.logger.warn(
        'requests carry forwarded addresses, which are ignored: behind a proxy set "trust proxy" to its addresses, or all its clients share one limit',
      );
    }
    if (trust === 'all') this.logger.warn(`requests are counted by forged addresses: ${TRUST_ALL}`);
  }
}

export const TRUST_ALL =
  '"trust proxy" is true, so every client may say which address it has; set it to the addresses of your proxies';
export const FASTIFY_HOPS =
  '"trustProxy" is a number, which Fastify takes for no proxy at all; set it to their addresses';
