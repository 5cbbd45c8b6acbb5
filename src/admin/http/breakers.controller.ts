import { Body, Get, Inject, Param, Put, Query, Req } from '@nestjs/common';
import { integer, oneOf } from '../../common/option-rules.ts';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import { notFound, unprocessable } from '../admin.problem.ts';
import { type BreakerView, type StateOrder, WANTED_STATES } from '../breaker-desk.ts';
import { Changes, Reads, Watches } from './admin.route.ts';
import { callerOf } from './caller.ts';
import { pageRules, positionIn, readBody, readQuery, reason } from './reading.ts';
import { recorded } from './recorded.ts';

const STATE_RULES = {
  state: oneOf(...WANTED_STATES),
  ttlMs: integer(1_000, 86_400_000),
  scope: oneOf('instance', 'cluster'),
  reason,
};

export class BreakersController {
  constructor(@Inject(ADMIN_CONSOLE) private readonly console: AdminConsole) {}

  @Get('api/breakers')
  @Watches()
  list(): { items: BreakerView[] } {
    return { items: this.console.breakers.list() };
  }

  @Get('api/breakers/:name')
  @Watches()
  get(@Param('name') name: string): BreakerView {
    const breaker = this.console.breakers.get(name);
    if (breaker === undefined) throw notFound('breaker');
    return breaker;
  }

  @Get('api/breakers/:name/events')
  @Reads()
  events(@Param('name') name: string, @Query() query: unknown) {
    const { cursor, limit = 100 } = readQuery(query, pageRules);
    this.get(name);
    const { signer, breakers } = this.console;
    const before = positionIn(signer, cursor, ['breaker', name]);
    const found = breakers.events(name, before === undefined ? undefined : Number(before), limit + 1);
    const items = found.slice(0, limit);
    const last = items.at(-1);
    const hasMore = found.length > limit && last !== undefined;
    return { items, nextCursor: hasMore ? signer.cursor(String(last.id), ['breaker', name]) : null };
  }

  @Put('api/breakers/:name/state')
  @Changes('breaker')
  async set(@Param('name') name: string, @Body() body: unknown, @Req() request: object) {
    const target = `breaker ${name}`;
    const run = async () => {
      const { state, ttlMs, scope = 'instance' } = readBody(body, STATE_RULES, ['state', 'reason']);
      const previous = this.get(name).state;
      if (state === undefined) throw unprocessable(['state: is missing']);
      const acks = await this.#apply({ name, state, ttlMs }, scope);
      return { previous, current: this.get(name).state, acks };
    };
    const { state, scope, ttlMs, reason: why } = (body ?? {}) as Record<string, unknown>;
    const act = { action: 'breaker', target, params: { state, scope, ttlMs } } as const;
    return recorded(
      this.console,
      callerOf(request),
      { ...act, reason: typeof why === 'string' ? why : undefined },
      run,
    );
  }

  async #apply(order: StateOrder, scope: 'instance' | 'cluster'): Promise<string[]> {
    const { breakers, peers } = this.console;
    if (scope === 'cluster') return breakers.setEverywhere(order);
    breakers.set(order);
    return [peers.instance];
  }
}
