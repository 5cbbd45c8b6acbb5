import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { startStandalone, type TestServers } from '../support/servers.ts';

/** What a shutdown may take, and what a loaded machine adds. */
const CLOSED_WITHIN_MS = 2_000 + 2_000;
/** What the first compilation may take. */
const STARTED_WITHIN_MS = 20_000;
/** After this long a process that does not exit by itself never will. */
const EXIT_MS = 15_000;

describe('a process whose application has closed', () => {
  let server: TestServers;

  beforeAll(async () => {
    server = await startStandalone();
  });
  afterAll(() => server.stop());

  it.each([
    ['its server is there', 'pubsub', (): void => undefined],
    ['its server tells of changes', 'tracking', (): void => undefined],
    ['its server hangs', 'pubsub', (): void => server.pause()],
  ] as const)(
    'exits by itself: %s (F55)',
    async (_, coherence, hurt) => {
      const options = { redis: { url: server.url }, cache: { coherence } };
      const child = fork(join(__dirname, '../support/closing-app.mjs'), {
        env: { ...process.env, APP_OPTIONS: JSON.stringify(options) },
        execArgv: [],
      });
      try {
        await once(child, 'message', { signal: AbortSignal.timeout(STARTED_WITHIN_MS) });
        const signal = AbortSignal.timeout(EXIT_MS);
        hurt();
        const exited = once(child, 'exit', { signal });
        const told = once(child, 'message', { signal });
        child.send('close');
        const [report] = (await told) as [{ closedInMs: number; loaded: number }];
        expect(report.loaded).toBe(100);
        expect(report.closedInMs).toBeLessThan(CLOSED_WITHIN_MS);
        expect(await exited).toEqual([0, null]);
      } finally {
        child.kill('SIGKILL');
        server.resume();
      }
    },
    45_000,
  );
});
