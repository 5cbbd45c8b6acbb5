import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startStandalone, type TestServers } from './servers.ts';

export interface MovedServer {
  readonly servers: TestServers;
  /** Sets the server's clock ahead, or back, from the true time. */
  moveTo(offsetSeconds: number): void;
  stop(): Promise<void>;
}

/** A server whose clock a test can move; undefined where no C compiler is there to make that possible. */
export async function startWithMovableClock(): Promise<MovedServer | undefined> {
  const directory = mkdtempSync(join(tmpdir(), 'nestjs-keep-clock-'));
  const [library, offset] = [join(directory, 'shim.so'), join(directory, 'offset')];
  try {
    execFileSync('cc', ['-shared', '-fPIC', '-o', library, join(__dirname, 'clock-shim.c')], { stdio: 'pipe' });
  } catch (error) {
    process.stderr.write(`No server clock can be moved here, the compiler says: ${String(error)}\n`);
    return undefined;
  }
  const moveTo = (seconds: number): void => writeFileSync(offset, String(seconds));
  moveTo(0);
  Object.assign(process.env, { LD_PRELOAD: library, CLOCK_OFFSET_FILE: offset });
  try {
    const servers = await startStandalone();
    return {
      servers,
      moveTo,
      async stop() {
        await servers.stop();
        rmSync(directory, { recursive: true, force: true });
      },
    };
  } finally {
    delete process.env['LD_PRELOAD'];
    delete process.env['CLOCK_OFFSET_FILE'];
  }
}
