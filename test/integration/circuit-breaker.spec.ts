import { Injectable, Module } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { CacheModule, CircuitBreakerService, type CacheModuleOptions } from '../../src/index.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const fail = () => Promise.reject(new Error('no answer'));

@Injectable()
class PaymentService {
  constructor(readonly circuits: CircuitBreakerService) {}
}

/** Imports nothing of the cache: the module is global. */
@Module({ providers: [PaymentService] })
class PaymentModule {}

const applications: TestingModule[] = [];

async function open(options: CacheModuleOptions = { redis: false }): Promise<CircuitBreakerService> {
  const application = await Test.createTestingModule({
    imports: [CacheModule.forRoot(options), PaymentModule],
  }).compile();
  applications.push(application);
  await application.init();
  return application.get(PaymentService, { strict: false }).circuits;
}

async function openCircuit(circuits: CircuitBreakerService, name = 'payments'): Promise<void> {
  for (let times = 0; times < 5; times += 1) await circuits.execute(name, fail).catch(() => undefined);
}

afterEach(async () => {
  await Promise.all(applications.splice(0).map((application) => application.close()));
});

describe('the circuits of an application', () => {
  it('are injected anywhere, and are not those of another application in the process', async () => {
    const [first, second] = [await open(), await open()];
    await openCircuit(first);
    expect(first.getStats()['payments']?.state).toBe('OPEN');
    expect(second.getStats()).toEqual({});
  });

  it('have the defaults that the module was given', async () => {
    const circuits = await open({
      redis: false,
      circuitBreaker: { timeout: '1s', errorThresholdPercentage: 90, resetTimeout: 7_000 },
    });
    await openCircuit(circuits);
    expect(circuits.getStats()['payments']?.config).toMatchObject({
      timeout: 1_000,
      errorThresholdPercentage: 90,
      resetTimeout: 7_000,
    });
  });

  it('end with it', async () => {
    const circuits = await open();
    await openCircuit(circuits);
    await applications.pop()!.close();
    await expect(circuits.execute('payments', () => Promise.resolve('unprotected'))).resolves.toBe('unprotected');
  });
});

describe('the circuit in front of the server', () => {
  let servers: TestServers;

  beforeAll(async () => {
    servers = await startStandalone();
  });
  afterAll(() => servers.stop());

  it('is one of them, with the options that the module was given', async () => {
    const circuits = await open({
      redis: { url: servers.url, commandTimeout: '150ms' },
      circuitBreaker: { server: { failureThreshold: 7, recoveryTimeout: '2s', monitoringPeriod: '3s' } },
    });
    expect(circuits.getStats()['nestjs-keep:server']).toMatchObject({
      state: 'CLOSED',
      config: { timeout: 150, volumeThreshold: 7, resetTimeout: 2_000, window: 3_000 },
    });
  });
});
