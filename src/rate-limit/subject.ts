import { addressOf, type Caller, callerName, userIdOf } from '../common/caller.ts';
import { encodeKeyPart } from '../common/keys.ts';
import { networkOf, parseAddress } from '../common/ip-address.ts';
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

  #ipOf(caller: Caller): string {
    const known = typeof caller.ip === 'string' ? this.#networks.get(caller.ip) : undefined;
    return known ?? this.#learn(caller);
  }

  #learn(caller: Caller): string {
    const address = addressOf(caller);
    const subject = address === undefined ? NOBODY : `ip:${networkOf(address, this.ipv6Prefix)}`;
    if (typeof caller.ip !== 'string' || parseAddress(caller.ip) === undefined) return subject;
    if (this.#networks.size >= MAX_ADDRESSES) this.#networks.clear();
    this.#networks.set(caller.ip, subject);
    return subject;
  }
}

function userOf(caller: Caller): string | undefined {
  const id = userIdOf(caller);
  return id === undefined ? undefined : `user:${encodeKeyPart(id)}`;
}

/** A function that finds nobody, or fails on a request without what it looks for, leaves it to the address. */
function valueOf(by: Exclude<ResolvedPolicy['by'], string>, { request }: Caller): string | undefined {
  try {
    const text = callerName(by(request));
    return text !== undefined && RESERVED.test(text) ? `value:${text}` : text;
  } catch {
    return undefined;
  }
}
