import type { Cluster, Redis } from 'ioredis';
import type { ValuesOf } from '../common/read-options.ts';
import { hideSecrets } from '../common/secrets.ts';
import { withDefaults } from '../common/with-defaults.ts';
import type { RedisNodes } from './redis-address.ts';
import {
  isRedisClient,
  REDIS_TIMEOUTS,
  type REDIS_RULES,
  type ResolvedRedisOptions,
  type ResolvedRedisTarget,
} from './redis.options.ts';

/** The options of one source, read by their rules. */
export type RedisValues = ValuesOf<typeof REDIS_RULES>;
type NameOf = (option: string) => string;

export interface RedisSources {
  readonly code: RedisValues | Redis | Cluster | false | undefined;
  readonly environment: RedisValues & { readonly enabled?: boolean };
  /** The variable that gave an option such as `redis.host`. */
  readonly nameOf: NameOf;
}

/**
 * Decides whether there is a server (`null`: memory mode), where it is and how long it may take; what contradicts
 * itself goes to `faults`. Whatever the code says about the server wins, also over a switch in the environment.
 */
export function resolveRedisOptions(sources: RedisSources, faults: string[]): ResolvedRedisOptions | null {
  const { code, environment } = sources;
  if (code === false || (code === undefined && !wantsServer(environment))) return null;
  if (isRedisClient(code)) {
    const target = hideSecrets({ kind: 'instance' as const, client: code }, 'client');
    return { target, ...withDefaults(REDIS_TIMEOUTS, environment) };
  }
  const target = resolveTarget({ ...sources, code: code ?? {} }, faults);
  return { target, ...withDefaults(REDIS_TIMEOUTS, environment, code) };
}

/** Whether the environment asks for a server: by its switch, else by saying where it is. */
export const wantsServer = (environment: RedisSources['environment']): boolean =>
  environment.enabled ?? namesServer(environment);

const namesServer = ({ url, host, cluster, sentinels }: RedisValues): boolean =>
  (url ?? host ?? nodesOf(cluster) ?? sentinels) !== undefined;

/** A server named in code is taken as a whole, so that no half of an address comes from the environment. */
function resolveTarget(sources: RedisSources & { code: RedisValues }, faults: string[]): ResolvedRedisTarget {
  const { code, environment } = sources;
  const nameInCode: NameOf = (option) => `redis.${option}`;
  const nameInEnvironment: NameOf = (option) => sources.nameOf(`redis.${option}`);
  faults.push(...contradictions(code, nameInCode), ...contradictions(environment, nameInEnvironment));
  const inherited = namesServer(code) ? withoutServer(environment) : environment;
  const settings = { ...spreadUrl(inherited), ...spreadUrl(code) };
  faults.push(...gaps(settings, (option) => (option in code ? nameInCode : nameInEnvironment)(option)));
  return toTarget(settings);
}

/** Options that are two answers to one question. */
const EXCLUSIVE = [
  ['url', 'host'],
  ['url', 'port'],
  ['url', 'cluster.nodes'],
  ['url', 'sentinels'],
  ['host', 'cluster.nodes'],
  ['host', 'sentinels'],
  ['port', 'cluster.nodes'],
  ['port', 'sentinels'],
] as const;

function contradictions(values: RedisValues, nameOf: NameOf): string[] {
  const given: Record<string, unknown> = { ...values, 'cluster.nodes': nodesOf(values.cluster) };
  const pairs: (readonly [string, string])[] = EXCLUSIVE.filter((pair) => pair.every((option) => given[option]));
  for (const part of ['username', 'password', 'db'] as const) {
    const [inUrl, beside] = [values.url?.[part], values[part]];
    if (inUrl !== undefined && beside !== undefined && inUrl !== beside) pairs.push(['url', part]);
  }
  if (values.url?.tls === true && values.tls === false) pairs.push(['url', 'tls']);
  return pairs.map(([first, second]) => `${nameOf(first)}: contradicts ${nameOf(second)}; give one of the two`);
}

/** The URL in the places of the options it stands for. */
function spreadUrl({ url, ...options }: RedisValues) {
  return url === undefined ? options : { ...url, ...options, tls: options.tls ?? url.tls };
}
type Settings = ReturnType<typeof spreadUrl>;

/** How to talk to a server, without what says which one. */
const withoutServer = (values: RedisValues): RedisValues =>
  Object.fromEntries(Object.entries(values).filter(([option]) => ['username', 'password', 'tls'].includes(option)));

/** What does not fit together in the end, wherever each part came from. */
function gaps({ cluster, sentinels, sentinelName, db = 0 }: Settings, nameOf: NameOf): string[] {
  const faults: string[] = [];
  if (cluster && sentinels)
    faults.push(`${nameOf('cluster')}: contradicts ${nameOf('sentinels')}; give one of the two`);
  if (cluster && db > 0) faults.push(`${nameOf('db')}: must be 0, a cluster has no other database; received ${db}`);
  if (sentinels && !sentinelName) faults.push(`${nameOf('sentinelName')}: must be given with ${nameOf('sentinels')}`);
  if (sentinelName && !sentinels) faults.push(`${nameOf('sentinels')}: must be given with ${nameOf('sentinelName')}`);
  return faults;
}

function toTarget(settings: Settings): ResolvedRedisTarget {
  const { host = 'localhost', port = 6379, cluster, sentinels, sentinelName, username, password, db, tls } = settings;
  const target = {
    kind: sentinels ? ('sentinel' as const) : cluster ? ('cluster' as const) : ('standalone' as const),
    nodes: sentinels ?? nodesOf(cluster) ?? ([{ host, port }] as const),
    ...(sentinelName !== undefined && { sentinelName }),
    // Code that gives an empty user or password says that there is none, whatever the environment has.
    ...(username && { username }),
    ...(password && { password }),
    ...(db !== undefined && { db }),
    ...(tls && { tls: tls === true ? {} : tls }),
  };
  return hideSecrets(target, 'password');
}

const nodesOf = (cluster: RedisValues['cluster']): RedisNodes | undefined =>
  typeof cluster === 'object' ? cluster.nodes : undefined;
