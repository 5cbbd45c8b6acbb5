import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';

interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly ports: readonly string[];
  readonly volumes: readonly string[];
  readonly profiles?: readonly string[];
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck: { readonly test: readonly string[]; readonly interval: string; readonly retries: number };
}

const compose = parse(readFileSync(join(__dirname, '../../docker-compose.yml'), 'utf8'), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
};
const services = Object.entries(compose.services);
const service = (name: string): Service => compose.services[name]!;
const words = (name: string): string => (service(name).command ?? []).join(' ');

describe('docker-compose.yml', () => {
  it('starts Redis and Valkey, and the others by profile only', () => {
    expect(Object.fromEntries(services.map(([name, { profiles = [] }]) => [name, profiles]))).toMatchObject({
      redis: [],
      valkey: [],
      'redis-cluster': ['cluster'],
      prometheus: ['observability'],
      grafana: ['observability'],
      sample: ['sample', 'observability'],
    });
  });

  it('runs Redis 7 and Valkey with an append-only file that outlives the container', () => {
    expect(service('redis').image).toBe('redis:7-alpine');
    expect(service('valkey').image).toMatch(/^valkey\/valkey:\d+-alpine$/);
    expect(words('redis')).toBe('redis-server --appendonly yes');
    expect(words('valkey')).toBe('valkey-server --appendonly yes');
    expect([service('redis'), service('valkey')].flatMap(({ volumes }) => volumes)).toEqual([
      'redis-data:/data',
      'valkey-data:/data',
    ]);
  });

  it('asks every server whether it is well', () => {
    expect(service('redis').healthcheck.test).toEqual(['CMD', 'redis-cli', 'ping']);
    expect(service('valkey').healthcheck.test).toEqual(['CMD', 'valkey-cli', 'ping']);
    expect(service('redis-cluster').healthcheck.test.at(-1)).toContain('cluster_state:ok');
  });

  it.each(services)('lets %s be waited for', (_name, { healthcheck }) => {
    expect(healthcheck.interval).toMatch(/^\d+s$/);
    expect(healthcheck.retries).toBeGreaterThan(0);
    expect(healthcheck.test[0]).toMatch(/^CMD(-SHELL)?$/);
  });

  it.each(services)('opens the ports of %s to this machine only', (_name, { ports }) => {
    for (const port of ports) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it('gives no port of this machine to two services', () => {
    const ports = services.flatMap(([, service]) => service.ports.map((port) => port.split(':')[1]));
    expect(new Set(ports).size).toBe(ports.length);
  });

  it.each(services)('declares the volumes of %s', (_name, { volumes }) => {
    const named = volumes.map((volume) => volume.split(':')[0]!).filter((source) => !source.startsWith('.'));
    expect(Object.keys(compose.volumes)).toEqual(expect.arrayContaining(named));
  });

  it('builds a cluster of three primaries with a replica each', () => {
    const script = words('redis-cluster');
    expect(new Set(script.match(/\b700\d\b/g))).toEqual(new Set(['7001', '7002', '7003', '7004', '7005', '7006']));
    expect(script).toMatch(/--cluster create \$\$nodes --cluster-replicas 1 --cluster-yes/);
    expect(script).toMatch(/--appendonly yes .*--cluster-enabled yes/s);
    expect(service('redis-cluster').ports).toEqual(['127.0.0.1:7001-7006:7001-7006']);
  });

  it('leaves no variable of the shell to Compose', () => {
    // Compose replaces $name before the shell sees it; $$ is one dollar.
    for (const [name] of services) expect(words(name).replaceAll('$$', '')).not.toContain('$');
  });

  it('starts the sample when Redis is well', () => {
    expect(service('sample').depends_on).toEqual({ redis: { condition: 'service_healthy' } });
  });
});
