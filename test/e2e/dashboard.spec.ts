import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import type { ExecutionContext, INestApplication } from '@nestjs/common';
import type { Request } from 'express';
import { type Browser, chromium, type Locator, type Page } from 'playwright-core';
import type { App } from 'supertest/types.js';
import { ADMIN_CONSOLE, type AdminConsole } from '../../src/admin/admin.console.ts';
import { DASHBOARD } from '../../src/admin/dashboard/dashboard.html.ts';
import { type AdminOptions, CacheService, CircuitBreakerService, LockService } from '../../src/index.ts';
import { ADMIN_TOKEN } from '../support/admin-client.ts';
import { findProgram } from '../support/find-program.ts';
import { HOST } from '../support/free-ports.ts';
import { openHttpApp } from '../support/http-app.ts';

jest.setTimeout(60_000);

const root = join(__dirname, '../..');
const axe = readFileSync(join(root, 'node_modules/axe-core/axe.min.js'), 'utf8');
const XSS = '<img src=x onerror=alert(1)>';

let browser: Browser;
let app: INestApplication<App> | undefined;
let errors: string[];
beforeAll(async () => {
  const executablePath = findProgram('find-chromium.mjs', 'findChromium');
  browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
});
afterAll(() => browser.close());
beforeEach(() => (errors = []));
afterEach(async () => {
  await Promise.all(browser.contexts().map((context) => context.close()));
  await app?.close();
  app = undefined;
});

const running = (): INestApplication<App> => app!;

async function start(admin: AdminOptions = {}, token: AdminOptions = { token: ADMIN_TOKEN }): Promise<string> {
  app = await openHttpApp({ platform: 'express', cache: { admin: { enabled: true, ...token, ...admin } } });
  await app.listen(0, HOST);
  const cache = app.get(CacheService);
  await cache.namespace('shop').getOrSet('a', 60, () => 1);
  await cache.namespace('shop').getOrSet('a', 60, () => 1);
  await cache.set(`x:${XSS}`, 1);
  await app.get(CircuitBreakerService).execute('orders', () => Promise.resolve(1));
  return `${await app.getUrl()}/cache/admin/`;
}

async function openPage(url: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
  const context = await browser.newContext(options);
  const page = await context.newPage();
  page.on('console', (message) => message.type() === 'error' && errors.push(message.text()));
  page.on('pageerror', (error) => errors.push(String(error)));
  await page.goto(url);
  return page;
}

const showing = (place: Locator, text: string): Promise<void> => place.filter({ hasText: text }).waitFor();

const violations = async (page: Page): Promise<string[]> => {
  await page.evaluate(axe);
  const found = await page.evaluate<{ violations: { id: string; nodes: { html: string }[] }[] }>('axe.run()');
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`);
};

it('is what its sources make, and small', () => {
  const script = 'import("./src/admin/dashboard/build.mjs").then(({ dashboard }) => process.stdout.write(dashboard()))';
  const { stdout } = spawnSync(process.execPath, ['--eval', script], { cwd: root, encoding: 'utf8' });
  expect(stdout).toBe(readFileSync(join(root, 'src/admin/dashboard/dashboard.html.ts'), 'utf8'));
  expect(Buffer.byteLength(DASHBOARD)).toBeLessThanOrEqual(60 * 1024);
  expect(gzipSync(DASHBOARD).length).toBeLessThanOrEqual(20 * 1024);
});

it('takes the token out of the address, and says that a breaker has opened within three seconds', async () => {
  const page = await openPage(`${await start()}#t=${ADMIN_TOKEN}`);
  await page.getByRole('cell', { name: '○ closed' }).waitFor();
  expect(page.url()).not.toContain(ADMIN_TOKEN);
  await page.waitForTimeout(500);
  running().get(CircuitBreakerService).isolate('orders');
  await page.getByRole('cell', { name: 'FORCED OPEN' }).waitFor({ timeout: 3_000 });
  expect(await page.getByRole('status').textContent()).toBe('Breaker orders is FORCED OPEN');
  expect(errors).toEqual([]);
});

it('clears what was looked at, typed and explained, and records it', async () => {
  const page = await openPage(`${await start()}#t=${ADMIN_TOKEN}`);
  await page.getByLabel('Clear shop').click();
  await page.getByLabel(/^Type/).fill('wrong');
  await page.getByLabel('Reason').fill('wrong prices');
  await page.getByRole('button', { name: 'Do it' }).click();
  expect(await page.getByRole('alert').textContent()).toBe('Type shop to go on');
  await page.getByLabel(/^Type/).fill('shop');
  await page.getByRole('button', { name: 'Do it' }).click();
  await page.getByRole('cell', { name: /^invalidate: namespace shop — wrong prices/ }).waitFor();
  expect(await running().get(CacheService).namespace('shop').get('a')).toBeUndefined();
  expect(errors).toEqual([]);
});

it('shows a key that is written as HTML as a text', async () => {
  const page = await openPage(`${await start()}#t=${ADMIN_TOKEN}`);
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('cell', { name: `x:${XSS}`, exact: true }).waitFor();
  expect(await page.locator('img').count()).toBe(0);
  expect(errors).toEqual([]);
});

it('asks for the token, tells that it is wrong, and shows nothing before it is right', async () => {
  const page = await openPage(await start());
  await page.getByLabel('Admin token').fill('wrong');
  await page.keyboard.press('Enter');
  await page.getByText('This token is not accepted').waitFor();
  expect(await page.getByRole('heading', { name: 'Breakers' }).isVisible()).toBe(false);
  await page.getByLabel('Admin token').fill(ADMIN_TOKEN);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Breakers' }).waitFor();
});

it('has no buttons for what one may not do', async () => {
  const page = await openPage(`${await start({ authorize: (_, action) => action === 'read' })}#t=${ADMIN_TOKEN}`);
  await page.getByRole('cell', { name: '○ closed' }).waitFor();
  for (const name of [/^Clear/, /Force/, /Reset/, /delete/i]) {
    expect(await page.getByRole('button', { name }).count()).toBe(0);
  }
});

it('works with a session in a cookie, and asks for no token then', async () => {
  const hasSession = (context: ExecutionContext): boolean =>
    context.switchToHttp().getRequest<Request>().headers.cookie === 'session=ada';
  const url = await start({ guards: [{ canActivate: hasSession }] }, {});
  const cookie = { name: 'session', value: 'ada', domain: HOST, path: '/', expires: -1, secure: false };
  const cookies = [{ ...cookie, httpOnly: true, sameSite: 'Strict' as const }];
  const page = await openPage(url, { storageState: { cookies, origins: [] } });
  await page.getByRole('cell', { name: '○ closed' }).waitFor();
  expect(await page.locator('#login').isVisible()).toBe(false);
  expect(await page.evaluate('sessionStorage.length')).toBe(0);
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('button', { name: 'Delete shop:a' }).click();
  await showing(page.locator('#keys-caption'), '1 keys');
  expect(await running().get(CacheService).namespace('shop').has('a')).toBe(false);
});

it.each([
  ['reduce', '0s'],
  ['no-preference', '0.15s'],
] as const)('moves as its reader wants it to: %s', async (reducedMotion, seconds) => {
  const page = await openPage(`${await start()}#t=${ADMIN_TOKEN}`, { reducedMotion });
  await page.getByRole('cell', { name: '○ closed' }).waitFor();
  const moving = await page.evaluate(`[...document.querySelectorAll('*')].map((each) => getComputedStyle(each))
    .flatMap(({ transitionDuration, animationName, animationDuration }) =>
      [transitionDuration, animationName === 'none' ? '0s' : animationDuration])`);
  expect(new Set(moving as string[])).toEqual(new Set(['0s', seconds]));
});

it('goes on after the stream was lost, and can be used by keyboard', async () => {
  const page = await openPage(`${await start()}#t=${ADMIN_TOKEN}`);
  await page.getByRole('cell', { name: '○ closed' }).waitFor();
  (running().getHttpServer() as unknown as { closeAllConnections: () => void }).closeAllConnections();
  running().get(CircuitBreakerService).isolate('orders');
  await page.getByRole('cell', { name: 'FORCED OPEN' }).waitFor({ timeout: 10_000 });
  await running().get(LockService).acquire('order:1');
  await page.getByRole('button', { name: 'Refresh locks' }).focus();
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Free order:1' }).focus();
  await page.keyboard.press('Enter');
  await page.getByLabel('Reason').fill('stuck');
  await page.keyboard.press('Enter');
  await page.getByRole('cell', { name: /^lock: lock order:1/ }).waitFor();
  expect(await running().get(LockService).isHeld('order:1')).toBe(false);
});

it('asks while there is no stream, marks what is old, and speaks once in five seconds at most', async () => {
  const url = await start();
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.clock.install();
  await page.route('**/api/events', (route) => route.abort());
  await page.goto(`${url}#t=${ADMIN_TOKEN}`);
  const circuits = running().get(CircuitBreakerService);
  const state = (name: string) => page.getByRole('cell', { name });
  const spoken = page.getByRole('status');
  await state('○ closed').waitFor();
  circuits.isolate('orders');
  await page.clock.fastForward(5_000);
  await state('FORCED OPEN').waitFor();
  expect(await spoken.textContent()).toBe('Breaker orders is FORCED OPEN');
  // The page's clock stands still from here on, but for what it is told.
  await page.clock.pauseAt(Date.now() + 60_000);
  await page.unroute('**/api/events');
  await page.clock.runFor(5_000);
  circuits.close('orders');
  await state('○ closed').waitFor();
  await showing(spoken, 'Breaker orders is closed');
  circuits.isolate('orders');
  await state('FORCED OPEN').waitFor();
  expect(await spoken.textContent()).toBe('Breaker orders is closed');
  await page.clock.runFor(5_000);
  await showing(spoken, 'Breaker orders is FORCED OPEN');
  await page.route('**/api/**', (route) => route.abort());
  (running().getHttpServer() as unknown as { closeAllConnections: () => void }).closeAllConnections();
  await page.clock.runFor(10_000);
  await page.getByText(/no news since/).waitFor();
});

it('says in words what its charts show, remembers the theme, and names who holds a lock', async () => {
  const page = await openPage(`${await start()}#t=${ADMIN_TOKEN}`);
  await page.getByRole('img', { name: 'Hit ratio: lowest 50.0 %, highest 50.0 %, now 50.0 %' }).waitFor();
  await page.getByText('Figures as a table').click();
  const row = page.getByRole('row', { name: /^Hit ratio/ });
  expect(await row.getByRole('cell').allTextContents()).toEqual(['Hit ratio', '50.0 %', '50.0 %', '50.0 %']);
  const { instance } = running().get<AdminConsole>(ADMIN_CONSOLE).peers;
  await running().get(LockService).acquire('order:1');
  await page.getByRole('button', { name: 'Refresh locks' }).click();
  await page
    .getByRole('row', { name: /^order:1/ })
    .getByRole('cell', { name: instance, exact: true })
    .waitFor();
  const background = () => page.evaluate('getComputedStyle(document.body).backgroundColor');
  const light = await background();
  await page.getByLabel('Theme').selectOption('dark');
  const dark = await background();
  expect(dark).not.toBe(light);
  await page.reload();
  await page.getByRole('heading', { name: 'Breakers' }).waitFor();
  expect(await background()).toBe(dark);
  expect(errors).toEqual([]);
});

it('has nothing that axe complains about: light and dark, wide and narrow, with a dialog and without', async () => {
  const page = await openPage(`${await start()}#t=${ADMIN_TOKEN}`);
  await page.getByRole('cell', { name: '○ closed' }).waitFor();
  await page.getByRole('button', { name: 'Search' }).click();
  await page.getByRole('cell', { name: `x:${XSS}`, exact: true }).waitFor();
  const check = async (colorScheme: 'light' | 'dark', width: number) => {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 900 });
    expect([colorScheme, width, ...(await violations(page))]).toEqual([colorScheme, width]);
    expect(await page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')).toBe(true);
    if (process.env['KEEP_SCREENSHOTS'] === undefined) return;
    const path = join(process.env['KEEP_SCREENSHOTS'], `${colorScheme}-${width}.png`);
    await page.screenshot({ path, fullPage: true });
  };
  for (const width of [1_280, 320]) {
    await check('light', width);
    await check('dark', width);
  }
  await page.getByLabel('Clear shop').click();
  await page.getByRole('dialog').waitFor();
  await check('light', 320);
  await check('dark', 320);
});
