import { spawnSync } from 'node:child_process';
import { runs } from './find-server.mjs';

/** A real browser, found, or installed where nobody has to be asked for a password. */
export function findChromium() {
  const found = ['/usr/bin/chromium', 'chromium', 'google-chrome'].find(runs) ?? installed();
  if (found !== undefined) return found;
  throw new Error('The tests need Chromium and found none. Run: sudo apt-get install -y chromium');
}

function installed() {
  if (process.getuid?.() !== 0 || !runs('apt-get')) return undefined;
  const install = () =>
    spawnSync('apt-get', ['install', '-y', '--no-install-recommends', 'chromium'], { stdio: 'ignore' }).status === 0;
  if (!install()) {
    spawnSync('apt-get', ['update'], { stdio: 'ignore' });
    install();
  }
  return ['/usr/bin/chromium'].find(runs);
}
