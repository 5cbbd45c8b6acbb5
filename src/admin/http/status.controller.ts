import { Get, Inject, Query, Req } from '@nestjs/common';
import { STATS_WINDOWS } from '../../cache/cache-windows.ts';
import { oneOf } from '../../common/option-rules.ts';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import { ADMIN_ACTIONS } from '../admin.options.ts';
import { Watches } from './admin.route.ts';
import { callerOf } from './caller.ts';
import { readQuery } from './reading.ts';

const RULES = { window: oneOf(...STATS_WINDOWS), group: oneOf('namespace') };

export class StatusController {
  constructor(@Inject(ADMIN_CONSOLE) private readonly console: AdminConsole) {}

  /** With what the caller may do, so that a page offers nothing else. */
  @Get('api/status')
  @Watches()
  async status(@Req() request: object) {
    const { may } = callerOf(request);
    const [status, answers] = await Promise.all([this.console.status.status(), Promise.all(ADMIN_ACTIONS.map(may))]);
    const permissions = ADMIN_ACTIONS.filter((_, index) => answers[index]);
    return { ...status, values: this.console.options.values, permissions };
  }

  @Get('api/stats')
  @Watches()
  stats(@Query() query: unknown) {
    const { window = '5m', group } = readQuery(query, RULES);
    const all = { scope: 'instance', window, ...this.console.status.all(window) };
    return group === undefined ? all : { ...all, groups: this.console.status.perNamespace(window) };
  }

  @Get('api/namespaces')
  @Watches()
  namespaces(@Query() query: unknown) {
    const { window } = readQuery(query, { window: RULES.window });
    return { items: this.console.status.namespaces(window) };
  }
}
