import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const CACHE = join(dirname(fileURLToPath(import.meta.url)), '../../node_modules/.cache/nestjs-keep');
const CACHED_SERVER = join(CACHE, 'server', 'run-server');
const CACHED_VALKEY = join(CACHE, 'valkey', 'run-server');
const IMAGE = 'docker.io/library/redis:7-bookworm';
/** Debian 12 has it in its backports only. */
const BACKPORTS =
  'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian bookworm-backports main';

/**
 * The program of a real server, found or fetched: tests never run without one.
 * `KEEP_IGNORE_PATH_SERVER=1` skips what is installed, to try the ways of fetching; `KEEP_SERVER=valkey` takes Valkey
 * and nothing else.
 */
export function findServer() {
  const { KEEP_SERVER: wanted } = process.env;
  if (wanted === 'valkey') return findValkey();
  if (wanted) throw new Error(`KEEP_SERVER must be valkey or nothing; received ${wanted}`);
  const ways = [named, onPath, cached, fromDebianPackages, installed, fromImage];
  for (const way of ways) {
    const program = way();
    if (program !== undefined) return program;
  }
  const command = process.platform === 'darwin' ? 'brew install redis' : 'sudo apt-get install -y redis-server';
  throw new Error(`The tests need a Redis or Valkey server and found none. Run: ${command}`);
}

function findValkey() {
  const onThisPath = process.env.KEEP_IGNORE_PATH_SERVER ? [] : ['valkey-server'];
  const program = [...onThisPath, CACHED_VALKEY].find(runs) ?? valkeyFromDebianPackages();
  if (program !== undefined) return program;
  throw new Error(
    'KEEP_SERVER=valkey: no valkey-server on PATH, and its Debian packages cannot be downloaded or run here',
  );
}

/** The lists of the packages are kept apart: what the system installs next stays what it was. */
function valkeyFromDebianPackages() {
  if (!runs('apt-get') || !runs('dpkg')) return undefined;
  return intoCache(CACHED_VALKEY, (directory) => {
    const apart = mkdtempSync(join(CACHE, 'packages-'));
    try {
      // apt-get removes whatever else it finds beside its lists.
      const [sources, lists] = [join(apart, 'sources.list'), join(apart, 'lists')];
      mkdirSync(lists);
      writeFileSync(sources, `${BACKPORTS}\n`);
      const settings = [`Etc::sourcelist=${sources}`, 'Etc::sourceparts=-', `State::lists=${lists}`];
      const apt = settings.flatMap((setting) => ['-o', `Dir::${setting}`]);
      execFileSync('apt-get', [...apt, 'update'], { stdio: 'ignore' });
      const packages = ['valkey-server', 'valkey-tools'];
      execFileSync('apt-get', [...apt, 'download', ...packages], { cwd: directory, stdio: 'ignore' });
    } finally {
      rmSync(apart, { recursive: true, force: true });
    }
    unpackPackages(directory);
    writeWrapper(directory, debianWrapper('valkey-server'));
  });
}

/** What the developer names is used or refused, never silently replaced. */
function named() {
  const program = process.env.REDIS_SERVER_BIN;
  if (!program) return undefined;
  if (!runs(program)) throw new Error('REDIS_SERVER_BIN does not name a server program that runs');
  return program;
}

function onPath() {
  if (process.env.KEEP_IGNORE_PATH_SERVER) return undefined;
  return ['valkey-server', 'redis-server'].find(runs);
}

function cached() {
  return runs(CACHED_SERVER) ? CACHED_SERVER : undefined;
}

/** Unpacks the distribution's packages into the cache: needs no root and leaves the system untouched. */
function fromDebianPackages() {
  if (!runs('apt-get') || !runs('dpkg')) return undefined;
  return intoCache(CACHED_SERVER, (directory) => {
    downloadPackages(['redis-server', 'redis-tools'], directory);
    unpackPackages(directory);
    const wrapper = writeWrapper(directory, debianWrapper('redis-server'));
    if (runs(wrapper)) return;
    downloadPackages(librariesOf('redis-tools'), directory);
    unpackPackages(directory);
  });
}

/** Fetches the distribution's packages into a directory; needs no root. */
export function downloadPackages(names, directory) {
  const download = () => succeeds('apt-get', ['download', ...names], { cwd: directory });
  // A fresh image has no package lists yet; with them the same download finds everything.
  if (!download() && succeeds('apt-get', ['update'])) download();
}

export function unpackPackages(directory) {
  for (const name of readdirSync(directory).filter((entry) => entry.endsWith('.deb'))) {
    execFileSync('dpkg', ['-x', name, '.'], { cwd: directory });
    rmSync(join(directory, name));
  }
}

/** The C library is the one thing that must stay the system's own. */
function librariesOf(packageName) {
  const { stdout } = spawnSync(
    'apt-cache',
    ['depends', '--recurse', '--no-recommends', '--no-suggests', ...CLOSURE, packageName],
    { encoding: 'utf8' },
  );
  const names = stdout.split('\n').filter((line) => /^(lib|lua-)/.test(line));
  return names.filter((name) => !/^(libc6|libcrypt1|libgcc-s1)$/.test(name));
}
const CLOSURE = ['--no-conflicts', '--no-breaks', '--no-replaces', '--no-enhances'];

const debianWrapper = (program) => `#!/bin/sh
here=$(dirname "$0")
libraries=$(find "$here/usr/lib" "$here/lib" -name '*.so*' -exec dirname {} + 2>/dev/null | sort -u | tr '\\n' ':')
LD_LIBRARY_PATH="$libraries$LD_LIBRARY_PATH" exec "$here/usr/bin/${program}" "$@"
`;

/** The system's package manager, where nobody has to be asked for a password. */
function installed() {
  if (process.getuid?.() !== 0 || !runs('apt-get')) return undefined;
  const install = ['install', '-y', '--no-install-recommends', 'redis-server'];
  return succeeds('apt-get', install) && runs('redis-server') ? 'redis-server' : undefined;
}

/** Takes the program and its libraries out of an image, so that tests can stop and kill the process itself. */
function fromImage() {
  if (process.platform !== 'linux' || !succeeds('docker', ['info'])) return undefined;
  return intoCache(CACHED_SERVER, (directory) => {
    const pack = 'bin=$(command -v redis-server); tar -ch "$bin" $(ldd "$bin" | grep -o "/[^ ]*")';
    const archive = execFileSync('docker', ['run', '--rm', '--entrypoint', 'sh', IMAGE, '-c', pack], {
      maxBuffer: 2 ** 29,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    execFileSync('tar', ['-x', '-C', directory], { input: archive });
    writeWrapper(directory, imageWrapper());
  });
}

const imageWrapper = () => `#!/bin/sh
here=$(dirname "$0")
libraries=$(find "$here" -name '*.so*' -exec dirname {} + | sort -u | tr '\\n' ':')
exec "$(find "$here" -name 'ld-linux*' | head -n 1)" --library-path "$libraries" "$(find "$here" -name redis-server -type f)" "$@"
`;

function writeWrapper(directory, text) {
  const wrapper = join(directory, 'run-server');
  writeFileSync(wrapper, text);
  chmodSync(wrapper, 0o755);
  return wrapper;
}

/** Fills a directory beside the cache and moves it into place, so that parallel runs never see half a server. */
function intoCache(program, fill) {
  mkdirSync(CACHE, { recursive: true });
  const directory = mkdtempSync(join(CACHE, 'fetching-'));
  try {
    fill(directory);
    if (!runs(join(directory, 'run-server'))) return undefined;
    if (!runs(program)) rmSync(dirname(program), { recursive: true, force: true });
    renameSync(directory, dirname(program));
  } catch {
    // Another run was faster, or this way is closed; what is in the cache decides.
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
  return runs(program) ? program : undefined;
}

export const runs = (program) => succeeds(program, ['--version']);
const succeeds = (program, args, options = {}) =>
  spawnSync(program, args, { stdio: 'ignore', ...options }).status === 0;
