import { Api, Problem, type Json } from './api.ts';
import { ask } from './ask.ts';
import { button, byId, cell, row, shown, since, inputOf, selectOf } from './dom.ts';
import { sample, showTiles } from './tiles.ts';

interface Breaker {
  readonly name: string;
  readonly state: string;
  readonly nextTryMs: number | null;
  readonly stats: Record<string, number>;
}
interface Stats {
  readonly status: Json;
  readonly stats: Json;
  readonly namespaces: readonly Json[];
  readonly breakers: readonly Breaker[];
}

const POLL_MS = 5_000;
const SPEAK_MS = 5_000;
const STALE_MS = 8_000;
const api = new Api(takeToken());
let permissions = new Set<string>();
let lastNews = Date.now();
let lastSpoken = 0;
let pendingWords: string | undefined;
const states = new Map<string, string>();
let nextCursor: string | null = null;

/** From the address, where it does not stay; else from this tab's memory. */
function takeToken(): string {
  const token = new URLSearchParams(location.hash.slice(1)).get('t');
  if (token !== null) {
    sessionStorage.setItem('keep-token', token);
    history.replaceState(null, '', location.pathname);
  }
  return token ?? sessionStorage.getItem('keep-token') ?? '';
}

const may = (action: string): boolean => permissions.has(action);

/** One message at a time, and at most one in five seconds. */
function speak(words: string): void {
  const wait = lastSpoken + SPEAK_MS - Date.now();
  if (wait <= 0) {
    lastSpoken = Date.now();
    byId('live').textContent = words;
    return;
  }
  if (pendingWords === undefined)
    setTimeout(() => {
      const next = pendingWords;
      pendingWords = undefined;
      if (next !== undefined) speak(next);
    }, wait);
  pendingWords = words;
}

const MARKS: Record<string, [mark: string, word: string, look: string]> = {
  closed: ['○', 'closed', 'good'],
  open: ['■', 'OPEN', 'bad'],
  'half-open': ['◐', 'half-open', 'warn'],
  'forced-open': ['■', 'FORCED OPEN', 'bad'],
  disabled: ['▷', 'not watched', 'warn'],
};
const percent = (share: unknown): string => `${(Number(share) * 100).toFixed(1)} %`;
const kilobytes = (bytes: unknown): string =>
  bytes === null ? '' : Number(bytes) < 1024 ? `${shown(bytes)} B` : `${(Number(bytes) / 1024).toFixed(1)} kB`;

function show({ status, stats, namespaces, breakers }: Stats): void {
  lastNews = Date.now();
  byId('stale').hidden = true;
  showHeader(status);
  sample(stats);
  showTiles(stats);
  byId('namespaces').replaceChildren(
    ...namespaces.map((space) => {
      const name = String(space['name']);
      const acts = may('invalidate') ? [button('Clear…', `Clear ${name}`, () => void clear('namespace', name))] : [];
      return row(
        cell(
          name + (space['handler'] === undefined || space['handler'] === name ? '' : ` (${shown(space['handler'])})`),
          'key',
        ),
        cell(percent(space['hitRatio'])),
        cell(`${String(space['p99Ms'])} ms`),
        cell(String(space['entriesL1'])),
        cell(acts),
      );
    }),
  );
  fillOptions(
    'ns',
    namespaces.map(({ name }) => String(name)),
    'all',
  );
  showBreakers(breakers);
}

function showHeader(status: Json): void {
  const { redis, tiers } = status as { redis: Json; tiers: { l1: Json } };
  byId('instance').textContent = String(status['instance']);
  const mode = String(status['mode']);
  byId('server').textContent =
    mode === 'memory'
      ? '○ memory only'
      : mode === 'redis'
        ? `● server ${redis['latencyMs'] === null ? 'does not answer' : `${shown(redis['latencyMs'])} ms`}`
        : `■ DEGRADED since ${since(String(status['since']))}: ${String(status['reason'])}`;
  byId('server').className = mode === 'degraded' ? 'bad' : 'good';
  byId('memory').textContent = `memory ${String(tiers.l1['entries'])} of ${String(tiers.l1['maxEntries'])}`;
}

function showBreakers(breakers: readonly Breaker[]): void {
  for (const { name, state } of breakers) {
    const before = states.get(name);
    states.set(name, state);
    if (before !== undefined && before !== state) speak(`Breaker ${name} is ${MARKS[state]?.[1] ?? state}`);
  }
  // Only what has changed is drawn anew: a button that is focused stays.
  const body = byId('breakers');
  const rows = breakers.map(({ name, state, nextTryMs, stats }) => {
    const [mark, word, look] = MARKS[state] ?? ['?', state, ''];
    const next = nextTryMs === null ? '' : ` next try ${Math.ceil(nextTryMs / 1_000)} s`;
    const acts = may('breaker')
      ? [
          button('Force open', `Force ${name} open`, () => void setBreaker(name, 'forced-open')),
          button('Auto', `Let ${name} decide`, () => void setBreaker(name, 'auto')),
        ]
      : [];
    return row(
      cell(name, 'key'),
      cell(`${mark} ${word}${next}`, look),
      cell(`${String(stats['fires'])}, ${String(stats['failures'])} failed`),
      cell(acts),
    );
  });
  if (!body.contains(document.activeElement)) body.replaceChildren(...rows);
  else
    rows.forEach((fresh, index) => {
      const old = body.children[index];
      for (const column of [1, 2])
        if (old?.children[column] && fresh.children[column])
          old.replaceChild(fresh.children[column], old.children[column]);
    });
}

function fillOptions(id: string, names: readonly string[], first?: string): void {
  const select = selectOf(id);
  const { value } = select;
  const wanted = first === undefined ? names : ['', ...names];
  if ([...select.options].map((option) => option.value).join('\n') === wanted.join('\n')) return;
  select.replaceChildren(...wanted.map((name) => new Option(name === '' ? first : name, name)));
  select.value = wanted.includes(value) ? value : (wanted[0] ?? '');
}

async function setBreaker(name: string, state: string): Promise<void> {
  const reason = await ask({
    title: `${state === 'auto' ? 'Let it decide' : 'Force open'}: ${name}`,
    text: 'On this instance.',
    needsReason: true,
  });
  if (reason !== null)
    await act(() => api.send('PUT', `breakers/${encodeURIComponent(name)}/state`, { state, reason }));
}

async function clear(by: string, value: string): Promise<void> {
  await act(async () => {
    const dry = await api.send('POST', 'invalidations', { by, value, dryRun: true });
    const word = by === 'namespace' ? value : String(dry['matched']);
    const answer = await ask({
      title: `Clear ${String(dry['matched'])}${dry['truncated'] === true ? ' or more' : ''} keys of ${value}?`,
      text: 'They are loaded again when they are asked for.',
      sample: dry['sample'] as string[],
      word,
      needsReason: true,
    });
    if (answer === null) return;
    const done = await api.send('POST', 'invalidations', { by, value, confirm: dry['confirm'], reason: answer });
    speak(`${String(done['affected'])} keys cleared`);
    await search();
  });
}

async function act(run: () => Promise<unknown>): Promise<void> {
  try {
    await run();
  } catch (error) {
    speak(error instanceof Problem ? error.message : 'That did not work');
  }
  await loadAudit();
}

async function search(more = false): Promise<void> {
  const [namespace, match] = [selectOf('ns').value, inputOf('match').value || '*'];
  const query = new URLSearchParams({
    match,
    limit: '50',
    ...(namespace !== '' && { namespace }),
    ...(more && nextCursor !== null && { cursor: nextCursor }),
  });
  const page = await api.get(`keys?${query.toString()}`);
  nextCursor = page['nextCursor'] as string | null;
  const rows = (page['items'] as Json[]).map((meta) => {
    const key = String(meta['key']);
    const path = `keys/${api.encode(key)}`;
    const acts = may('invalidate')
      ? [
          button(
            'expire',
            `Expire ${key}`,
            () =>
              void act(async () => {
                await api.send('PATCH', path, { stale: true });
                await search();
              }),
          ),
          button(
            'delete',
            `Delete ${key}`,
            () =>
              void act(async () => {
                await api.send('DELETE', path, {});
                await search();
              }),
          ),
        ]
      : [];
    const lives = meta['ttlMs'] === null ? 'for ever' : `${Math.round(Number(meta['ttlMs']) / 1_000)} s`;
    return row(
      cell(key, 'key'),
      cell(lives + (meta['stale'] === true ? ' (stale)' : '')),
      cell(kilobytes(meta['bytes'])),
      cell((meta['tier'] as string[]).join(' ').toUpperCase()),
      cell((meta['tags'] as string[]).join(', ')),
      cell(acts),
    );
  });
  if (more) byId('keys').append(...rows);
  else byId('keys').replaceChildren(...rows);
  byId('keys-caption').textContent = `${byId('keys').children.length} keys${nextCursor === null ? '' : ' so far'}`;
  byId('more').hidden = nextCursor === null;
}

async function loadLocks(): Promise<void> {
  const { items } = await api.get('locks');
  byId('locks').replaceChildren(
    ...(items as Json[]).map((lock) => {
      const name = String(lock['name']);
      const free = async () => {
        const reason = await ask({
          title: `Free ${name}?`,
          text: 'Who holds it is told at its next renewal.',
          needsReason: true,
        });
        if (reason !== null)
          await act(async () => {
            await api.send('DELETE', `locks/${encodeURIComponent(name)}`, { reason });
            await loadLocks();
          });
      };
      return row(
        cell(name, 'key'),
        cell(lock['holder'] === null ? 'unknown' : shown(lock['holder'])),
        cell(`${Math.ceil(Number(lock['ttlMs']) / 1_000)} s`),
        cell(String(lock['waiters'])),
        cell(may('lock') ? [button('free', `Free ${name}`, () => void free())] : []),
      );
    }),
  );
}

async function lookUpLimit(): Promise<void> {
  const [policy, subject] = [selectOf('policy').value, inputOf('subject').value];
  const { items } = await api.get(`limits?${new URLSearchParams({ policy, subject }).toString()}`);
  const [standing] = items as Json[];
  byId('standing').textContent = standing
    ? `${String(standing['used'])} of ${String(standing['limit'])} used${standing['blocked'] === true ? ' — blocked' : ''}`
    : '';
  byId('reset').hidden = !may('limit');
  byId('reset').onclick = () =>
    void act(async () => {
      await api.send('DELETE', `limits/${encodeURIComponent(policy)}/${encodeURIComponent(subject)}`, {});
      await lookUpLimit();
    });
}

async function loadAudit(): Promise<void> {
  const { items } = await api.get('audit?limit=20');
  byId('audit').replaceChildren(
    ...(items as Json[]).map((record) =>
      row(
        cell(since(String(record['at']))),
        cell(String(record['actor'])),
        cell(
          `${String(record['action'])}: ${String(record['target'])}${record['dryRun'] === true ? ' (dry run)' : ''}${record['reason'] === null ? '' : ` — ${shown(record['reason'])}`}`,
          'key',
        ),
        cell(record['affected'] === null ? '' : shown(record['affected'])),
        cell(String(record['outcome'])),
      ),
    ),
  );
}

async function poll(): Promise<void> {
  const [status, stats, namespaces, breakers] = await Promise.all(
    ['status', 'stats', 'namespaces', 'breakers'].map((path) => api.get(path)),
  );
  show({
    status: status ?? {},
    stats: stats ?? {},
    namespaces: (namespaces?.['items'] ?? []) as Json[],
    breakers: (breakers?.['items'] ?? []) as Breaker[],
  });
}

function heed(type: string, data: string): void {
  if (type === 'stats') show(JSON.parse(data) as Stats);
  else if (type === 'breaker')
    void api
      .get('breakers')
      .then(({ items }) => showBreakers(items as Breaker[]))
      .catch(() => undefined);
  else if (type === 'invalidation') void loadAudit().catch(() => undefined);
}

/** Listens for as long as the page is open; while the stream is away it asks. */
async function follow(): Promise<void> {
  for (let failures = 0; ; failures++) {
    const began = Date.now();
    await api.stream('events', heed).catch(() => undefined);
    if (Date.now() - began > 10_000) failures = 0;
    await poll().catch(() => undefined);
    await new Promise((resolve) => setTimeout(resolve, Math.min(1_000 * 2 ** failures, POLL_MS)));
  }
}

function logIn(problem = ''): void {
  byId('console').hidden = true;
  byId('login').hidden = false;
  byId('login-error').textContent = problem;
  byId('token').focus();
}

async function open(): Promise<void> {
  try {
    const status = await api.get('status');
    permissions = new Set(status['permissions'] as string[]);
    byId('login').hidden = true;
    byId('console').hidden = false;
    for (const element of document.querySelectorAll<HTMLElement>('[data-may]'))
      if (!may(element.dataset['may'] ?? '')) element.remove();
    await poll();
    const { items } = await api.get('limits');
    fillOptions('policy', [...new Set((items as Json[]).map(({ policy }) => String(policy)))]);
    await Promise.all([loadLocks(), loadAudit()]);
    void follow();
  } catch (error) {
    logIn(
      error instanceof Problem && error.status === 401 && api.token === ''
        ? ''
        : error instanceof Problem
          ? error.status === 401
            ? 'This token is not accepted'
            : error.message
          : 'The server does not answer',
    );
  }
}

const quietly = (run: () => Promise<unknown>) => () =>
  void run().catch((error: unknown) => speak(error instanceof Error ? error.message : 'That did not work'));
const submits = (id: string, run: () => Promise<unknown>) =>
  byId(id).addEventListener('submit', (event) => {
    event.preventDefault();
    quietly(run)();
  });
submits('login', async () => {
  api.token = inputOf('token').value;
  sessionStorage.setItem('keep-token', api.token);
  await open();
});
submits('search', () => search());
submits('limit', lookUpLimit);
byId('more').onclick = quietly(() => search(true));
byId('locks-load').onclick = quietly(loadLocks);
byId('clear').onclick = () => {
  const space = selectOf('ns').value;
  const match = inputOf('match').value;
  void (space !== '' && match === '*' ? clear('namespace', space) : clear('pattern', match));
};
const theme = selectOf('theme');
theme.value = localStorage.getItem('keep-theme') ?? '';
theme.onchange = () => {
  localStorage.setItem('keep-theme', theme.value);
  document.documentElement.dataset['theme'] = theme.value;
};
document.documentElement.dataset['theme'] = theme.value;
setInterval(() => {
  if (Date.now() - lastNews > STALE_MS && !byId('console').hidden) {
    byId('stale').hidden = false;
    byId('stale').lastElementChild?.replaceChildren(since(new Date(lastNews).toISOString()));
  }
}, 1_000);
void open();
