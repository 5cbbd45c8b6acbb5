import { Body, Delete, Get, HttpCode, Inject, Param, Patch, Query, Req } from '@nestjs/common';
import { integer, rule } from '../../common/option-rules.ts';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import { AdminProblem, notFound, unprocessable } from '../admin.problem.ts';
import type { KeyMeta } from '../key-browser.ts';
import { Changes, Reads } from './admin.route.ts';
import { callerOf } from './caller.ts';
import { keyIn, pageRules, positionIn, readBody, readQuery, textOf } from './reading.ts';
import { recorded } from './recorded.ts';
import { shownValue } from './shown-value.ts';

const LIST_RULES = { ...pageRules, namespace: textOf(1, 250), match: textOf(1, 500) };
const MAX_TTL_MS = 365 * 86_400_000;
const PATCH_RULES = {
  ttlMs: integer(1, MAX_TTL_MS),
  stale: rule('true', (value) => (value === true ? true : undefined)),
};
const PREVIEW_BYTES = 4 * 1024;

export class KeysController {
  constructor(@Inject(ADMIN_CONSOLE) private readonly console: AdminConsole) {}

  @Get('api/keys')
  @Reads()
  async list(@Query() query: unknown) {
    const { namespace, match, cursor, limit = 100 } = readQuery(query, LIST_RULES);
    const filter = ['keys', namespace, match];
    const { signer, browser } = this.console;
    const from = positionIn(signer, cursor, filter);
    const page = await browser.list({ namespace, match }, from, limit);
    const nextCursor = page.cursor === null ? null : signer.cursor(page.cursor, filter);
    return { items: page.items, nextCursor, scanned: page.scanned, complete: nextCursor === null };
  }

  @Get('api/keys/:key')
  @Reads()
  async get(@Param('key') encoded: string): Promise<KeyMeta> {
    return (await this.console.browser.describe(keyIn(encoded))) ?? missing();
  }

  @Get('api/keys/:key/value')
  @Reads('read-value')
  async value(@Param('key') encoded: string) {
    const { values, redact } = this.console.options;
    if (values === 'hidden') throw new AdminProblem(403, 'VALUES_HIDDEN', 'Values are hidden: see admin.values');
    const key = keyIn(encoded);
    const found = await this.console.browser.value(key);
    if (found === undefined) return missing();
    if (values === 'preview' && found.bytes > PREVIEW_BYTES) throw tooLarge();
    const value = shownValue(redact(key, found.value));
    if (values === 'preview' && Buffer.byteLength(JSON.stringify(value ?? null)) > PREVIEW_BYTES) throw tooLarge();
    return { key, value: value ?? null };
  }

  @Delete('api/keys/:key')
  @HttpCode(204)
  @Changes('invalidate')
  async delete(@Param('key') encoded: string, @Req() request: object): Promise<void> {
    const { browser, invalidations } = this.console;
    const key = keyIn(encoded);
    const act = { action: 'invalidate', target: `key ${key}` } as const;
    await recorded(this.console, callerOf(request), act, async () => {
      if ((await browser.describe(key)) === undefined) missing();
      return invalidations.delete(key);
    });
  }

  @Patch('api/keys/:key')
  @Changes('invalidate')
  async change(@Param('key') encoded: string, @Body() body: unknown, @Req() request: object): Promise<KeyMeta> {
    const { browser, invalidations } = this.console;
    const key = keyIn(encoded);
    const { ttlMs, stale } = readBody(body, PATCH_RULES);
    if ((ttlMs === undefined) === (stale === undefined)) throw unprocessable(['either ttlMs or stale: true']);
    const act = {
      action: 'invalidate',
      target: `key ${key}`,
      params: ttlMs === undefined ? { stale } : { ttlMs },
    } as const;
    return recorded(this.console, callerOf(request), act, async () => {
      if ((await browser.describe(key)) === undefined) missing();
      await (ttlMs === undefined ? invalidations.spoil(key) : invalidations.expire(key, ttlMs));
      return (await browser.describe(key)) ?? missing();
    });
  }
}

const missing = (): never => {
  throw notFound('key');
};

const tooLarge = (): AdminProblem =>
  new AdminProblem(413, 'VALUE_TOO_LARGE', 'Previews end at 4 KiB: see admin.values');
