import { ConfigModule, type ConfigType } from '@nestjs/config';
import { Test } from '@nestjs/testing';
import { cacheConfig, cacheEnvironment } from './cache.config.ts';
import { resolveModuleOptions } from './cache.module-options.ts';
import { VARIABLES } from './cache.variables.ts';

/** Runs with these variables and without every other one that the table knows. */
async function withEnvironment<T>(variables: Record<string, string>, run: () => T | Promise<T>): Promise<T> {
  const before = { ...process.env };
  for (const { name, alias = '' } of VARIABLES) {
    Reflect.deleteProperty(process.env, name);
    Reflect.deleteProperty(process.env, alias);
  }
  Object.assign(process.env, variables);
  try {
    return await run();
  } finally {
    for (const name of Object.keys(variables)) Reflect.deleteProperty(process.env, name);
    Object.assign(process.env, before);
  }
}

describe('cacheConfig', () => {
  it.each<[string, Record<string, string>, object]>([
    ['nothing', {}, {}],
    ['memory', { VALKEY_ENABLED: 'false', VALKEY_HOST: 'a' }, { redis: false }],
    ['a server without an address', { VALKEY_ENABLED: 'true' }, { redis: {} }],
    ['a server', { REDIS_HOST: 'a', REDIS_PORT: '1', VALKEY_TLS: 'yes' }, { redis: { host: 'a', port: 1, tls: true } }],
    ['a cluster', { VALKEY_CLUSTER_NODES: 'a:1,b:2' }, { redis: { cluster: { nodes: ['a:1', 'b:2'] } } }],
    ['timeouts, which are no server yet', { CACHE_COMMAND_TIMEOUT_MS: '50' }, {}],
    [
      'options of several capabilities',
      { CACHE_TTL: '60', CACHE_L1_MAX_BYTES: '1mb', CACHE_LOCK_RETRY_DELAY: '20', LOG_LEVEL: 'info' },
      { cache: { ttl: '60s', l1: { maxBytes: '1mb' } }, lock: { retryDelay: 20 }, logLevel: 'log' },
    ],
    ['an admin API', { CACHE_ADMIN_TOKEN: 'sixteen-letters-' }, { admin: { token: 'sixteen-letters-' } }],
  ])('says in options what the environment says: %s', async (_what, variables, options) => {
    expect(await withEnvironment(variables, cacheConfig)).toEqual(options);
  });

  it('comes to the same as leaving the environment to the module', async () => {
    const variables = {
      VALKEY_URL: 'rediss://u:p@a:1/2',
      CACHE_TTL: '60',
      CACHE_COMMAND_TIMEOUT_MS: '50',
      LOG_LEVEL: 'debug',
    };
    const [direct, throughConfig] = await withEnvironment(variables, () => [
      resolveModuleOptions(),
      resolveModuleOptions(cacheConfig() as object),
    ]);
    expect(throughConfig).toEqual(direct);
  });

  it('names every variable that is wrong', async () => {
    const variables = { CACHE_TTL: 'soon', VALKEY_PORT: '0', VALKEY_SENTINEL_NAME: 'main', VALKEY_ENABLED: 'true' };
    await expect(withEnvironment(variables, cacheConfig)).rejects.toThrow(
      /VALKEY_PORT.*\n.*CACHE_TTL.*\n.*VALKEY_SENTINEL/,
    );
  });

  it('is injected by its key, with what is set when the application starts', async () => {
    const options = await withEnvironment({ CACHE_KEY_PREFIX: 'shop' }, async () => {
      const imports = [ConfigModule.forRoot({ ignoreEnvFile: true, load: [cacheConfig] })];
      const app = await Test.createTestingModule({ imports }).compile();
      return app.get<ConfigType<typeof cacheConfig>>(cacheConfig.KEY);
    });
    expect(options).toEqual({ keys: { prefix: 'shop' } });
  });

  it('does not show the password it holds', async () => {
    const options = await withEnvironment({ VALKEY_HOST: 'a', VALKEY_PASSWORD: 'hunter2' }, cacheConfig);
    expect(JSON.stringify(options)).toBe('{"redis":{"host":"a","password":"***"}}');
  });
});

describe('cacheEnvironment', () => {
  const load = (variables: Record<string, string>) =>
    withEnvironment(variables, async () => {
      const imports = [ConfigModule.forRoot({ ignoreEnvFile: true, validationSchema: cacheEnvironment })];
      await Test.createTestingModule({ imports }).compile();
    });

  it('lets @nestjs/config accept a right environment', async () => {
    await expect(load({ CACHE_TTL: '60', OTHER: 'variables' })).resolves.toBeUndefined();
  });

  it('lets @nestjs/config refuse a wrong one, with everything that is wrong', async () => {
    await expect(load({ CACHE_TTL: 'soon', VALKEY_PORT: '0' })).rejects.toThrow(
      /VALKEY_PORT: must be.*\n.*CACHE_TTL: must be/,
    );
  });

  it('answers in the form of @nestjs/config 4, too', () => {
    const right = { CACHE_TTL: '60', OTHER: 'variables' };
    expect(cacheEnvironment.validate(right)).toEqual({ value: right });
    const { error } = cacheEnvironment.validate({ CACHE_TTL: 'soon', VALKEY_PORT: '0' });
    expect(error?.message).toMatch(/VALKEY_PORT: must be.*\n.*CACHE_TTL: must be/);
  });
});
