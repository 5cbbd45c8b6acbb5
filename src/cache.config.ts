import { registerAs } from '@nestjs/config';
import { readEnvironment, type Environment, type OptionTree } from './cache.environment.ts';
import { resolveModuleOptions, type CacheModuleOptions } from './cache.module-options.ts';
import { CODE_RULES, ENVIRONMENT_RULES } from './cache.module-rules.ts';
import { isInvalidOptionsError } from './common/errors.ts';
import { hideSecrets } from './common/secrets.ts';
import { REDIS_RULES } from './redis/redis.options.ts';
import { wantsServer } from './redis/resolve-redis-options.ts';

/**
 * What the environment says, for `ConfigModule.forFeature(cacheConfig)` and
 * `CacheModule.forRootAsync({ inject: [cacheConfig.KEY], useFactory: (config) => config })`.
 * @throws InvalidOptionsError naming every variable that is wrong
 * @publicApi
 */
export const cacheConfig = registerAs('cache', (): CacheModuleOptions => optionsIn(process.env));

/**
 * The variables of this package as a Standard Schema: `ConfigModule.forRoot({ validationSchema: cacheEnvironment })`.
 * @publicApi
 */
export const cacheEnvironment = {
  '~standard': { version: 1 as const, vendor: 'nestjs-keep', validate: validateEnvironment },
  /** What @nestjs/config 4 calls instead, which knows no Standard Schema. */
  validate(environment: unknown): { readonly value?: unknown; readonly error?: Error } {
    const { value, issues } = validateEnvironment(environment);
    return issues === undefined ? { value } : { error: new Error(issues.map(({ message }) => message).join('\n')) };
  },
};

function optionsIn(environment: Environment): CacheModuleOptions {
  resolveModuleOptions({}, environment);
  const { options, values } = readEnvironment(environment, ENVIRONMENT_RULES, []);
  const { redis, ...plain } = acceptedBy(CODE_RULES, options);
  const others = {
    ...plain,
    ...(plain['admin'] !== undefined && { admin: hideSecrets(plain['admin'] as object, 'token') }),
  };
  if (wantsServer(values.redis ?? {})) {
    return { ...others, redis: hideSecrets(acceptedBy(REDIS_RULES, redis ?? {}), 'url', 'password') };
  }
  return values.redis?.enabled === false ? { ...others, redis: false } : others;
}

/** Leaves out what only the environment can say. */
const acceptedBy = (rules: object, options: object): OptionTree =>
  Object.fromEntries(Object.entries(options).filter(([option]) => Object.hasOwn(rules, option)));

function validateEnvironment(environment: unknown) {
  try {
    resolveModuleOptions({}, environment as Environment);
    return { value: environment };
  } catch (error) {
    if (!isInvalidOptionsError(error)) throw error;
    return { issues: error.faults.map((message) => ({ message })) };
  }
}
