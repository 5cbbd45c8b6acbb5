import { mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { CACHE, downloadPackages, runs, unpackPackages } from './find-server.mjs';

const DIRECTORY = join(CACHE, 'prometheus');
const PROGRAM = join(DIRECTORY, 'usr/bin/promtool');

/** Prometheus' own checker, found or taken out of the distribution's package: no root, nothing is installed. */
export function findPromtool() {
  const found = ['promtool', PROGRAM].find(runs) ?? fetched();
  if (found !== undefined) return found;
  throw new Error('The tests need promtool and found none. Run: sudo apt-get install -y prometheus');
}

/** Filled beside the cache and moved into place, so that parallel runs never see half a package. */
function fetched() {
  mkdirSync(CACHE, { recursive: true });
  const directory = mkdtempSync(join(CACHE, 'fetching-'));
  try {
    downloadPackages(['prometheus'], directory);
    unpackPackages(directory);
    renameSync(directory, DIRECTORY);
  } catch {
    // Another run was faster, or there is no such package here; what is in the cache decides.
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return runs(PROGRAM) ? PROGRAM : undefined;
}
