import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DocsProject, codeBlocks } from '../support/docs-project.ts';
import { SampleProcess } from '../support/sample.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const ROOT = join(__dirname, '../..');
const README = 'README.md';
const PAGES = [README, ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)].filter(
  (page) => page.endsWith('.md') && codeBlocks(page, 'ts').length > 0,
);
/** They name servers and files of their reader. */
const NOT_RUN = ['docs/configuration.md'];
const FIRST_SCREEN_LINES = 60;

const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

describe('the examples of the documentation', () => {
  let server: TestServers;
  let project: DocsProject;
  let faults: string;

  beforeAll(async () => {
    server = await startStandalone();
    project = DocsProject.create(PAGES, { 'redis://localhost:6379': server.url });
    faults = project.compile();
  }, 120_000);
  afterAll(async () => {
    project.remove();
    await server.stop();
  });

  it('compile in a new project that has installed the package', () => {
    expect(faults).toBe('');
  });

  it.each(PAGES.filter((page) => !NOT_RUN.includes(page)))(
    'run and show what they say: %s',
    (page) => {
      const { status, output } = project.run(page, { CACHE_URL: server.url });
      expect(`${output}${status}`).toBe('0');
    },
    60_000,
  );

  it.each(PAGES.filter((page) => codeBlocks(page, 'ts').some((code) => /^\/\/ \S+\.spec\.ts\n/.test(code))))(
    'pass where they are tests: %s',
    (page) => {
      const { status, output } = project.test(page);
      expect(status === 0 ? '' : output).toBe('');
      expect(output).toMatch(/^Tests: +\d+ passed, \d+ total$/m);
    },
    120_000,
  );
});

describe('the first screen of README.md', () => {
  const firstScreen = text(README).split('\n## ')[0]!;

  it(`has at most ${FIRST_SCREEN_LINES} lines`, () => {
    expect(firstScreen.split('\n').length).toBeLessThanOrEqual(FIRST_SCREEN_LINES);
  });

  it('names commands that there are', () => {
    const { scripts } = JSON.parse(text('package.json')) as { scripts: Record<string, string> };
    const [commands] = codeBlocks(README, 'sh');
    expect(commands).toMatch(/npm ci && npm start\b.*\nnpm test\b/);
    expect(scripts).toMatchObject({ start: 'nest start sample', test: expect.any(String) as string });
  });

  it('shows what curl prints', async () => {
    const sample = await SampleProcess.start();
    try {
      const shown = codeBlocks(README, 'console').flatMap((session) => [
        ...session.matchAll(/^\$ curl .*http:\/\/localhost:3000(\S+)\n(.*) \d\.\d{6}s$/gm),
      ]);
      expect(shown.length).toBeGreaterThanOrEqual(2);
      // How long it is still fresh depends on chance, and on how long the second reader waits.
      const lasting = (line: string) => line.replace(/ttl=\d+/, 'ttl=n');
      for (const [, path, printed] of shown) {
        const { text, headers } = await sample.get(path!);
        expect(lasting(`${text} ${String(headers['cache-status'])}`)).toBe(lasting(printed!));
      }
      // Asked twice, computed once: what the shorter time of the second is about.
      expect(await sample.queries()).toBe(1);
    } finally {
      await sample.stop();
    }
  });
});

describe('the links of the documentation', () => {
  const pages = [README, ...readdirSync(join(ROOT, 'docs')).map((name) => `docs/${name}`)];

  it.each(pages.filter((page) => page.endsWith('.md')))('lead to headings that are there: %s', (page) => {
    const links = [...text(page).matchAll(/\]\(([^):\s]*)#([^)\s]+)\)/g)];
    const broken = links.filter(([, path, anchor]) => {
      const target = path === '' ? page : join(page, '..', path!);
      return !anchorsOf(text(target)).includes(anchor!);
    });
    expect(broken.map(([link]) => link)).toEqual([]);
  });
});

/** As GitHub names the headings of a page. */
const anchorsOf = (markdown: string): string[] =>
  [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, heading]) =>
    heading!
      .toLowerCase()
      .replace(/[^\w\s-]/g, '')
      .replace(/\s/g, '-'),
  );
