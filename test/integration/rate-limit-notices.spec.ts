import { Test, type TestingModule } from '@nestjs/testing';
import { CacheModule, RateLimitService } from '../../src/index.ts';
import { eventually } from '../support/eventually.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const policy = { name: 'otp', limit: 2, window: '10m' } as const;

describe('a refusal that is remembered in one process', () => {
  const apps: TestingModule[] = [];
  let servers: TestServers;
  let here: RateLimitService;
  let there: RateLimitService;

  beforeAll(async () => {
    servers = await startStandalone();
    for (let i = 0; i < 2; i++) {
      const imports = [CacheModule.forRoot({ redis: { url: servers.url, commandTimeout: '5s' } })];
      apps.push(await Test.createTestingModule({ imports }).compile());
    }
    [here, there] = apps.map((app) => app.get(RateLimitService)) as [RateLimitService, RateLimitService];
  });
  afterAll(async () => {
    await Promise.all(apps.map((app) => app.close()));
    await servers.stop();
  });

  it.each<[string, (subject: string) => Promise<void>]>([
    ['reset', (subject) => there.reset(policy, subject)],
    ['refund', (subject) => there.refund(policy, subject)],
  ])('ends with a %s in another one', async (name, change) => {
    for (let call = 0; call < 4; call++) await here.consume(policy, name);
    expect(here.getMetrics().refusedFromMemory).toBeGreaterThan(0);
    await change(name);
    await eventually(async () => expect(await here.consume(policy, name)).toMatchObject({ allowed: true }));
  });

  it('ends with a shorter block in another one', async () => {
    await here.block(policy, 'bob', '10m');
    for (let call = 0; call < 3; call++) await here.consume(policy, 'bob');
    expect(await here.consume(policy, 'bob')).toMatchObject({ allowed: false });
    await there.block(policy, 'bob', '1ms');
    await eventually(async () => expect(await here.consume(policy, 'bob')).toMatchObject({ allowed: true }));
  });
});
