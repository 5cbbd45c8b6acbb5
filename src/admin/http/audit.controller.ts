import { Get, Inject, Query } from '@nestjs/common';
import { oneOf } from '../../common/option-rules.ts';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import { ADMIN_ACTIONS } from '../admin.options.ts';
import { Reads } from './admin.route.ts';
import { pageRules, positionIn, readQuery, textOf } from './reading.ts';

const RULES = { ...pageRules, actor: textOf(1, 120), action: oneOf(...ADMIN_ACTIONS) };

export class AuditController {
  constructor(@Inject(ADMIN_CONSOLE) private readonly console: AdminConsole) {}

  /** Newest first. */
  @Get('api/audit')
  @Reads()
  async list(@Query() query: unknown) {
    const { cursor, limit = 100, actor, action } = readQuery(query, RULES);
    const filter = ['audit', actor, action];
    const { signer, audit } = this.console;
    const page = await audit.list(positionIn(signer, cursor, filter), limit, { actor, action });
    return { items: page.items, nextCursor: page.next === null ? null : signer.cursor(page.next, filter) };
  }
}
