import { Body, Delete, HttpCode, Inject, Post, Query, Req } from '@nestjs/common';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import { unprocessable } from '../admin.problem.ts';
import { Changes } from './admin.route.ts';
import { callerOf } from './caller.ts';
import { isEverything, LocksController, needsConfirmation } from './locks.controller.ts';
import { readBody, reason, textOf } from './reading.ts';
import { recorded } from './recorded.ts';
import { rule } from '../../common/option-rules.ts';

const confirm = rule('true', (value) => (value === true || value === 'true' ? true : undefined));
const RULES = { pattern: textOf(1, 500), reason, confirm };

/** The two short endpoints beside the admin API: a pattern in the body or in the query, and it is done. */
export class SeedController {
  readonly #locks: LocksController;

  constructor(@Inject(ADMIN_CONSOLE) private readonly console: AdminConsole) {
    this.#locks = new LocksController(console);
  }

  @Post('clear-locks')
  @HttpCode(200)
  @Changes('lock')
  clearLocks(@Body() body: unknown, @Query() query: unknown, @Req() request: object): Promise<{ cleared: number }> {
    return this.#locks.clearAll(together(body, query), request, []);
  }

  @Delete('keys')
  @HttpCode(200)
  @Changes('invalidate')
  async deleteKeys(@Body() body: unknown, @Query() query: unknown, @Req() request: object) {
    const given = together(body, query);
    const act = { action: 'invalidate', target: `pattern ${String(given['pattern'])}` } as const;
    const run = async () => {
      const { pattern, confirm: isConfirmed } = readBody(given, RULES, ['pattern']);
      if (pattern === undefined || pattern.trim() === '') throw unprocessable(['pattern: must not be blank']);
      if (isEverything(pattern) && isConfirmed !== true) throw needsConfirmation('every key');
      return { deleted: await this.console.invalidations.deletePattern(pattern) };
    };
    return recorded(this.console, callerOf(request), act, run, ({ deleted }) => deleted);
  }
}

const together = (body: unknown, query: unknown): Record<string, unknown> => {
  const { confirm: isConfirmed, ...rest } = { ...(query as object), ...(body as object) } as Record<string, unknown>;
  return { ...rest, ...(isConfirmed !== undefined && { confirm: isConfirmed === 'true' ? true : isConfirmed }) };
};
