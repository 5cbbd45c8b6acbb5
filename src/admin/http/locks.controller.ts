import { Body, Delete, Get, HttpCode, Inject, Param, Post, Query, Req } from '@nestjs/common';
import { rule } from '../../common/option-rules.ts';
import { isInvalidOptionsError } from '../../common/errors.ts';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import { AdminProblem, notFound } from '../admin.problem.ts';
import { Changes, Reads } from './admin.route.ts';
import { callerOf } from './caller.ts';
import { pageRules, positionIn, readBody, readQuery, reason, textOf } from './reading.ts';
import { recorded } from './recorded.ts';

const CLEAR_RULES = {
  pattern: textOf(1, 500),
  reason,
  confirm: rule('true', (value) => (value === true ? true : undefined)),
};

export class LocksController {
  constructor(@Inject(ADMIN_CONSOLE) private readonly console: AdminConsole) {}

  @Get('api/locks')
  @Reads()
  async list(@Query() query: unknown) {
    const { cursor, limit = 100 } = readQuery(query, pageRules);
    const { signer, lockDesk } = this.console;
    const page = await lockDesk.list(positionIn(signer, cursor, ['locks']), limit);
    return { items: page.items, nextCursor: page.cursor === null ? null : signer.cursor(page.cursor, ['locks']) };
  }

  @Delete('api/locks/:name')
  @HttpCode(204)
  @Changes('lock')
  async release(@Param('name') name: string, @Body() body: unknown, @Req() request: object): Promise<void> {
    const act = { action: 'lock', target: `lock ${name}`, reason: reasonIn(body) } as const;
    await recorded(this.console, callerOf(request), act, async () => {
      readBody(body, { reason }, ['reason']);
      if (!(await this.console.locks.forceRelease(name))) throw notFound('lock');
    });
  }

  /** Both platforms read `:clear` as a parameter. */
  @Post('api/locks:clear')
  @HttpCode(200)
  @Changes('lock')
  async clear(@Param('clear') suffix: string, @Body() body: unknown, @Req() request: object) {
    if (suffix !== ':clear') throw notFound('resource');
    return this.clearAll(body, request, ['reason', 'pattern']);
  }

  async clearAll(body: unknown, request: object, required: readonly string[]): Promise<{ cleared: number }> {
    const pattern = textIn(body, 'pattern') ?? '*';
    const act = { action: 'lock', target: `locks ${pattern}`, reason: reasonIn(body) } as const;
    const run = async () => {
      const { pattern: glob = '*', confirm } = readBody(body, CLEAR_RULES, required);
      if (isEverything(glob) && confirm !== true) throw needsConfirmation('all locks');
      return { cleared: await this.#releaseAll(glob) };
    };
    return recorded(this.console, callerOf(request), act, run, ({ cleared }) => cleared);
  }

  async #releaseAll(pattern: string): Promise<number> {
    try {
      return await this.console.locks.releaseAll(pattern);
    } catch (error) {
      if (isInvalidOptionsError(error)) throw new AdminProblem(422, 'INVALID_REQUEST', error.message);
      throw error;
    }
  }
}

/** A glob that nothing escapes. */
export const isEverything = (glob: string): boolean => /^\**$/.test(glob);

export const needsConfirmation = (what: string): AdminProblem =>
  new AdminProblem(409, 'CONFIRM', `This reaches ${what}: send confirm: true as well`);

const textIn = (body: unknown, field: string): string | undefined => {
  const given = (body as Record<string, unknown> | null)?.[field];
  return typeof given === 'string' ? given : undefined;
};

const reasonIn = (body: unknown): string | undefined => textIn(body, 'reason');
