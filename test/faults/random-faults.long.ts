import { RandomFaults } from '../support/random-faults.ts';
import { seedOfRun } from '../support/random.ts';
import { startStandalone } from '../support/servers.ts';

const SECONDS = Number(process.env['KEEP_FAULT_SECONDS'] ?? 60);
const seed = seedOfRun();

it.each(['pubsub', 'tracking'] as const)(
  `F21: ${SECONDS} seconds of random faults, coherent by %s (KEEP_SEED=${seed})`,
  async (coherence) => {
    const server = await startStandalone();
    const faults = new RandomFaults({ server, seed, forMs: SECONDS * 1_000, coherence });
    try {
      await faults.run();
      expect(faults.failures).toEqual([]);
      expect(faults.violations()).toEqual([]);
      expect(faults.hitsInMemory).toBeGreaterThan(faults.reads.length / 10);
    } finally {
      await faults.close();
      await server.stop();
    }
  },
  (SECONDS + 60) * 1_000,
);
