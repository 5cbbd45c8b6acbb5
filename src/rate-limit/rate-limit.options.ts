import { aFunction, flag, integer, oneOf, rule, type RulesOf, secret, text } from '../common/option-rules.ts';
import { parseAddressRange } from '../common/ip-address.ts';
import type { RequestFunction } from './limited-request.ts';
import type { OnOutage } from './rate-limit-store.interface.ts';
import { onOutageRule, type RateLimitPolicy, readPolicy, type ResolvedPolicy } from './rate-limit.policy.ts';

/** How the remaining quota is written into response headers; each draft of the IETF has a form of its own. */
export type RateLimitHeaders = 'draft-10' | 'draft-7' | 'draft-6' | 'legacy';

export interface RateLimitModuleOptions {
  /**
   * By name: `consume('otp', …)`, `@RateLimit('otp')`. A list has to be satisfied as a whole. `default` is what
   * `RateLimitGuard` applies to handlers without a decorator.
   */
  readonly policies?: Readonly<Record<string, RateLimitPolicy | readonly RateLimitPolicy[]>>;
  /** The caller's tier. @default (request) => request.user?.tier */
  readonly tier?: RequestFunction<unknown>;
  /** Headers on every response of a limited route, refused or not; `false`: none. @default ['draft-10'] */
  readonly headers?: readonly RateLimitHeaders[] | false;
  /** Body of a refusal: `application/problem+json` (RFC 9457), or what Nest answers with. @default 'problem' */
  readonly errors?: 'problem' | 'nest';
  /** A request that one policy refuses is charged to the others. @default false */
  readonly consumeOnReject?: boolean;
  /** Processes of this application: without the server each admits its share. @default 1 */
  readonly instances?: number;
  /** Without the server: this process's share, refuse (503), or admit. @default 'local' */
  readonly onOutage?: OnOutage;
  /** Addresses that are never limited: `'10.0.0.7'`, `'10.0.0.0/8'`, `'2001:db8::/32'`. @default [] */
  readonly allow?: readonly string[];
  /** Addresses whose requests to limited handlers are refused with 403. @default [] */
  readonly deny?: readonly string[];
  /** Leading bits of an IPv6 address that stand for one subscriber, 32 to 128. @default 64 */
  readonly ipv6Prefix?: number;
  /** Makes the headers tell subjects apart (`pk`, draft-10), without saying who they are. At least 16 characters. */
  readonly partitionSecret?: string;
}

export interface ResolvedRateLimitModuleOptions {
  readonly policies: ReadonlyMap<string, readonly ResolvedPolicy[]>;
  readonly tier: RequestFunction<unknown>;
  readonly headers: readonly RateLimitHeaders[];
  readonly errors: 'problem' | 'nest';
  readonly consumeOnReject: boolean;
  readonly instances: number;
  readonly onOutage: OnOutage;
  readonly allow: readonly string[];
  readonly deny: readonly string[];
  readonly ipv6Prefix: number;
  readonly partitionSecret: string | undefined;
}

export const RATE_LIMIT_DEFAULTS: ResolvedRateLimitModuleOptions = {
  policies: new Map(),
  tier: ({ user }) => user?.['tier'],
  headers: ['draft-10'],
  errors: 'problem',
  consumeOnReject: false,
  instances: 1,
  onOutage: 'local',
  allow: [],
  deny: [],
  ipv6Prefix: 64,
  partitionSecret: undefined,
};

const FORMS: readonly unknown[] = ['draft-10', 'draft-7', 'draft-6', 'legacy'] satisfies RateLimitHeaders[];

const headers = rule(`false, or a list of 'draft-10', 'draft-7', 'draft-6', 'legacy'`, (value) => {
  if (value === false) return [];
  return Array.isArray(value) && value.every((form) => FORMS.includes(form))
    ? (value as RateLimitHeaders[])
    : undefined;
});

const addresses = rule(`a list of addresses such as '10.0.0.7', '10.0.0.0/8', '2001:db8::/32'`, (value) =>
  Array.isArray(value) && value.every((range) => parseAddressRange(range) !== undefined)
    ? (value as string[])
    : undefined,
);

/** Its faults are those of the policies in it, which are read by `readPolicies`. */
const policies = rule('an object of policies', (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as NonNullable<RateLimitModuleOptions['policies']>)
    : undefined,
);

export const RATE_LIMIT_RULES = {
  policies,
  tier: aFunction<RequestFunction<unknown>>(),
  headers,
  errors: oneOf('problem', 'nest'),
  consumeOnReject: flag,
  instances: integer(1, 10_000),
  onOutage: onOutageRule,
  allow: addresses,
  deny: addresses,
  ipv6Prefix: integer(32, 128),
  partitionSecret: secret(text('at least 16 characters', /^.{16,}$/s)),
} satisfies RulesOf<RateLimitModuleOptions>;

type Given = { readonly [K in keyof typeof RATE_LIMIT_RULES]?: unknown };

/** Code wins over the environment, the environment over the defaults. What is wrong with policies goes to `faults`. */
export function resolveRateLimitOptions(
  environment: Given | undefined,
  code: Given | undefined,
  faults: string[],
): ResolvedRateLimitModuleOptions {
  const given = { ...environment, ...code } as Omit<Partial<ResolvedRateLimitModuleOptions>, 'policies'> & Given;
  const options = { ...RATE_LIMIT_DEFAULTS, ...given };
  return { ...options, policies: readPolicies(given.policies, options.onOutage, faults) };
}

function readPolicies(given: unknown, onOutage: OnOutage, faults: string[]): Map<string, readonly ResolvedPolicy[]> {
  const named = new Map<string, readonly ResolvedPolicy[]>();
  for (const [name, policy] of Object.entries(given ?? {}) as [string, unknown][]) {
    const path = `rateLimit.policies.${name}`;
    const list: readonly unknown[] = Array.isArray(policy) ? policy : [policy];
    if (list.length === 0) faults.push(`${path}: must be a policy or a list of at least one`);
    const read = list.map((each, at) =>
      readPolicy(each, { name, onOutage }, faults, Array.isArray(policy) ? `${path}[${at}]` : path),
    );
    named.set(
      name,
      read.filter((each) => each !== undefined),
    );
  }
  return named;
}
