import type { UpstreamOptions } from 'nestjs-keep/gateway';
import type { Duration } from 'nestjs-keep';

/** Parts of this very application, in place of services on other machines. */
const OWN: Record<string, Partial<UpstreamOptions>> = {
  products: {},
  // It says nothing about how long its answers are good for.
  feed: { cache: { default: '10s' } },
  payments: {},
};
/** `GATEWAY_ORDERS_URL=http://orders:3000` adds a service, or puts another one in the place of an own part. */
const URL_VARIABLE = /^GATEWAY_([A-Z\d]+)_URL$/;

/** The services that requests are forwarded to: nothing but what stands here and in the environment. */
export function upstreams(environment: NodeJS.ProcessEnv): Record<string, UpstreamOptions> {
  const { HOST: host = '127.0.0.1', PORT: port = '3000' } = environment;
  // Loopback is refused unless an upstream is said to be there.
  const own = { origin: `http://${host}:${port}`, allowPrivate: true };
  const services = Object.entries(OWN).map(
    ([name, options]) => [name, { ...own, ...options, basePath: `/${name}` }] as const,
  );
  const others = Object.entries(environment).flatMap(([variable, origin = '']) => {
    const name = URL_VARIABLE.exec(variable)?.[1]?.toLowerCase();
    return name === undefined ? [] : [[name, { origin, allowPrivate: true }] as const];
  });
  return Object.fromEntries(
    [...services, ...others].map(([name, options]) => [name, { ...options, ...settingsOf(name, environment) }]),
  );
}

/**
 * `GATEWAY_PRODUCTS_TTL=5m`: how long responses are fresh that do not say so themselves.
 * `GATEWAY_PRODUCTS_RETRY=off`: what fails is not asked again.
 */
function settingsOf(name: string, environment: NodeJS.ProcessEnv): Pick<UpstreamOptions, 'cache' | 'retry'> {
  const [ttl, retry] = ['TTL', 'RETRY'].map((setting) => environment[`GATEWAY_${name.toUpperCase()}_${setting}`]);
  return {
    ...(ttl !== undefined && { cache: { default: ttl as Duration } }),
    ...(retry === 'off' && { retry: false }),
  };
}
