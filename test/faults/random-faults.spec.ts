import { RandomFaults } from '../support/random-faults.ts';
import { seedOfRun } from '../support/random.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const seed = seedOfRun();
let server: TestServers;

beforeAll(async () => {
  server = await startStandalone();
});
afterAll(() => server.stop());

it(`F21: three applications and random faults: nobody reads what was invalidated (KEEP_SEED=${seed})`, async () => {
  const faults = new RandomFaults({ server, seed, forMs: 8_000 });
  try {
    await faults.run();
    expect(faults.failures).toEqual([]);
    expect(faults.violations()).toEqual([]);
    expect(faults.invalidations.length).toBeGreaterThan(20);
    expect(faults.hitsInMemory).toBeGreaterThan(faults.reads.length / 10);
  } finally {
    await faults.close();
  }
}, 60_000);
