import { Body, Delete, Get, HttpCode, Inject, Param, Query, Req } from '@nestjs/common';
import { isInvalidOptionsError } from '../../common/errors.ts';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import { notFound } from '../admin.problem.ts';
import { Changes, Reads } from './admin.route.ts';
import { callerOf } from './caller.ts';
import { readBody, readQuery, reason, textOf } from './reading.ts';
import { recorded } from './recorded.ts';

const QUERY_RULES = { policy: textOf(1, 200), subject: textOf(1, 500) };

export class LimitsController {
  constructor(@Inject(ADMIN_CONSOLE) private readonly console: AdminConsole) {}

  /** Where a subject stands; without one, the policies that can be asked for. */
  @Get('api/limits')
  @Reads()
  async list(@Query() query: unknown) {
    const { policy, subject } = readQuery(query, QUERY_RULES);
    const names = policy === undefined ? this.#names() : [policy];
    const items = await Promise.all(names.map((name) => this.#standing(name, subject)));
    return { items: items.flat() };
  }

  @Delete('api/limits/:policy/:subject')
  @HttpCode(204)
  @Changes('limit')
  async reset(
    @Param('policy') policy: string,
    @Param('subject') subject: string,
    @Body() body: unknown,
    @Req() request: object,
  ): Promise<void> {
    // A subject is a person: the record has its pseudonym.
    const target = `limit ${policy} of ${this.console.signer.pseudonym(subject)}`;
    const why = (body as { reason?: unknown } | null)?.reason;
    const act = { action: 'limit', target, reason: typeof why === 'string' ? why : undefined } as const;
    await recorded(this.console, callerOf(request), act, async () => {
      readBody(body, { reason });
      await this.#known(() => this.console.limits.reset(policy, subject));
    });
  }

  async #standing(policy: string, subject: string | undefined) {
    if (subject === undefined)
      return [{ policy, subjectHash: null, used: null, limit: null, resetMs: null, blocked: null }];
    const decision = await this.#known(() => this.console.limits.check(policy, subject));
    const { limit, remaining, resetMs, allowed } = decision;
    const subjectHash = this.console.signer.pseudonym(subject);
    return [{ policy, subjectHash, used: limit - remaining, limit, resetMs: Math.round(resetMs), blocked: !allowed }];
  }

  async #known<R>(ask: () => Promise<R>): Promise<R> {
    try {
      return await ask();
    } catch (error) {
      if (isInvalidOptionsError(error)) throw notFound('policy');
      throw error;
    }
  }

  #names(): string[] {
    return this.console.limits.policies.names;
  }
}
