import { encodeKeyPart } from '../common/keys.ts';
import type { Caller } from './caller.ts';
import { networkOf, parseAddress } from './ip-address.ts';
import type { ResolvedPolicy } from './rate-limit.policy.ts';

/** Of a caller that has neither a name nor an address: a message of another service, over a broker. */
const NOBODY = 'caller:unknown';
/** What our own subjects begin with; those that a function makes must not pass for them. */
const RESERVED = /^(?:user|ip|caller|value):/;
/** Addresses whose network is remembered. */
const MAX_ADDRESSES = 10_000;

/** Says who is counted. */
export class Subjects {
  readonly #networks = new Map<string, string>();

  constructor(private readonly ipv6Prefix: number) {}

  /** `user:42`, `ip:192.0.2.1`, `ip:2001:db8::/64`, or what the policy's function says. */
  of({ by }: ResolvedPolicy, caller: Caller): string {
    switch (by) {
      case 'ip':
        return this.#ipOf(caller);
      case 'user':
        return userOf(caller) ?? this.#ipOf(caller);
      case 'user-and-ip': {
        const user = userOf(caller);
        return user === undefined ? this.#ipOf(caller) : `${user}:${this.#ipOf(caller)}`;
      }
      default:
        return valueOf(by, caller) ?? this.#ipOf(caller);
    }
  }

  /** The caller's address in one form. What a proxy that we trust says may be anything, the socket's is real. */
  addressOf({ ip, remoteAddress }: Caller): string | undefined {
    return parseAddress(ip) ?? parseAddress(remoteAddress);
  }

  #ipOf(caller: Caller): string {
    const known = typeof caller.ip === 'string' ? this.#networks.get(caller.ip) : undefined;
    return known ?? this.#learn(caller);
  }

  #learn(caller: Caller): string {
    const address = this.addressOf(caller);
    const subject = address === undefined ? NOBODY : `ip:${networkOf(address, this.ipv6Prefix)}`;
    if (typeof caller.ip !== 'string' || parseAddress(caller.ip) === undefined) return subject;
    if (this.#networks.size >= MAX_ADDRESSES) this.#networks.clear();
    this.#networks.set(caller.ip, subject);
    return subject;
  }
}

/** `id`, `userId` or `sub` of what the application's own guards have put on the request. */
function userOf({ user }: Caller): string | undefined {
  if (typeof user !== 'object' || user === null) return undefined;
  const { id, userId, sub } = user as Readonly<Record<string, unknown>>;
  const known = textOf(id) ?? textOf(userId) ?? textOf(sub);
  return known === undefined ? undefined : `user:${encodeKeyPart(known)}`;
}

/** A function that finds nobody, or fails on a request without what it looks for, leaves it to the address. */
function valueOf(by: Exclude<ResolvedPolicy['by'], string>, { request }: Caller): string | undefined {
  try {
    const text = textOf(by(request));
    return text !== undefined && RESERVED.test(text) ? `value:${text}` : text;
  } catch {
    return undefined;
  }
}

/** What names one caller: not an object, not a list, nothing blank. */
function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value.trim() === '' ? undefined : value;
  if (typeof value === 'bigint' || (typeof value === 'number' && Number.isFinite(value))) return String(value);
  return undefined;
}
