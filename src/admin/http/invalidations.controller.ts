import { Body, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { flag, integer, oneOf, rule } from '../../common/option-rules.ts';
import { isInvalidKeyError, isStoreFailure } from '../../common/errors.ts';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import type { AdminAction } from '../admin.options.ts';
import { AdminProblem, unprocessable } from '../admin.problem.ts';
import type { Invalidation, InvalidationBy, Preview } from '../invalidations.ts';
import type { Job } from '../jobs.ts';
import { Changes } from './admin.route.ts';
import { type AdminCaller, callerOf } from './caller.ts';
import { readBody, reason, textOf } from './reading.ts';
import { recorded } from './recorded.ts';

const BYS = ['key', 'keys', 'pattern', 'tag', 'namespace', 'path', 'all'] as const satisfies readonly InvalidationBy[];
/** These reach further than one sees: what they would do is shown first. */
const WIDE: readonly InvalidationBy[] = ['pattern', 'namespace', 'all'];
const MAX_VALUES = 1_000;
/** Above this many keys the answer does not wait for the end. */
const JOB_ABOVE = 5_000;

const value = textOf(1, 1_000);
const valueOrValues = rule('a text, or a list of at most 1000 texts', (given): string | string[] | undefined => {
  if (!Array.isArray(given)) return value.read(given);
  return given.length <= MAX_VALUES && given.every((each) => value.read(each) !== undefined)
    ? (given as string[])
    : undefined;
});
const RULES = {
  by: oneOf(...BYS),
  value: valueOrValues,
  mode: oneOf('delete', 'expire'),
  dryRun: flag,
  reason,
  confirm: textOf(1, 200),
  maxKeys: integer(1, 100_000),
};

export interface InvalidationResult extends Preview {
  readonly dryRun: boolean;
  readonly affected: number;
  /** To be sent back within a minute to do it. */
  readonly confirm?: string;
  /** Whether all instances have dropped it from memory; `pending`: they do within two seconds, or when the server is back. */
  readonly l1?: 'dropped' | 'pending';
}

interface Order extends Invalidation {
  readonly dryRun: boolean;
  readonly reason: string | undefined;
  readonly confirm: string | undefined;
}

export class InvalidationsController {
  constructor(
    @Inject(ADMIN_CONSOLE) private readonly console: AdminConsole,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
  ) {}

  @Post('api/invalidations')
  @HttpCode(200)
  @Changes('invalidate')
  async invalidate(
    @Body() body: unknown,
    @Req() request: object,
    @Res({ passthrough: true }) response: unknown,
  ): Promise<InvalidationResult | Job> {
    const caller = callerOf(request);
    const order = await this.#read(body, caller);
    const result = await recorded(
      this.console,
      caller,
      { action: actionOf(order), target: targetOf(order), params: paramsOf(order), ...order },
      async () => this.#run(order, await this.#preview(order), caller),
      ({ affected }) => affected,
    );
    if ('state' in result) {
      this.host.httpAdapter.status(response, 202);
      this.host.httpAdapter.setHeader(response, 'Location', `jobs/${result.id}`);
    } else if (!order.dryRun) {
      this.console.feed.tell('invalidation', { by: order.by, mode: order.mode, affected: result.affected });
    }
    return result;
  }

  async #read(body: unknown, caller: AdminCaller): Promise<Order> {
    try {
      const { by, value: given, mode = 'delete', dryRun, maxKeys = 10_000, ...rest } = readBody(body, RULES, ['by']);
      if (by === undefined) throw unprocessable(['by: is missing']);
      const faults = faultsOf(by, given, rest.reason);
      if (by === 'all' && !(await caller.may('purge-all'))) {
        throw new AdminProblem(403, 'FORBIDDEN', 'You may not do this: purge-all');
      }
      if (faults.length > 0) throw unprocessable(faults);
      const values = by === 'all' ? [] : [given ?? []].flat();
      const isDry = dryRun ?? (WIDE.includes(by) && rest.confirm === undefined);
      return { by, values, mode, maxKeys, dryRun: isDry, reason: rest.reason, confirm: rest.confirm };
    } catch (error) {
      const act = { action: 'invalidate', target: 'POST invalidations' } as const;
      return recorded(this.console, caller, act, () => Promise.reject(error as Error));
    }
  }

  async #preview(order: Order): Promise<Preview> {
    try {
      return await this.console.invalidations.preview(order);
    } catch (error) {
      if (isInvalidKeyError(error)) throw unprocessable([`value: ${error.message}`]);
      // What is named exactly is invalidated here at once, and on the server when it is back.
      if (!isStoreFailure(error) || order.dryRun || WIDE.includes(order.by)) throw error;
      return { matched: 0, sample: [], truncated: false };
    }
  }

  async #run(order: Order, preview: Preview, caller: AdminCaller): Promise<InvalidationResult | Job> {
    const { signer, invalidations, jobs } = this.console;
    const act = [caller.actor, order.by, order.values, order.mode];
    if (order.dryRun) return { dryRun: true, affected: 0, ...preview, confirm: signer.confirmation(act) };
    if (WIDE.includes(order.by) && !signer.isConfirmed(order.confirm ?? '', act)) {
      throw new AdminProblem(409, 'CONFIRM', 'Look at a dry run first, and send its confirm back within a minute');
    }
    if (preview.matched > JOB_ABOVE && order.by !== 'tag') return this.#start(order, preview, caller, jobs);
    const affected = await invalidations.run(order, preview);
    return { dryRun: false, ...preview, affected, l1: await this.#settled() };
  }

  #start(order: Order, preview: Preview, caller: AdminCaller, jobs: AdminConsole['jobs']): Job {
    return jobs.start(
      (control) => this.console.invalidations.run(order, preview, control),
      ({ id, state, affected, error }) => {
        const { actor, ip, requestId } = caller;
        const outcome = state === 'done' ? 'done' : (error ?? state);
        const act = { action: actionOf(order), target: targetOf(order), params: { job: id }, dryRun: false };
        const { reason = null } = order;
        void this.console.audit.record({ actor, ip, requestId, ...act, reason, affected, outcome });
      },
    );
  }

  /** What the other instances are asked travels behind what they were told to drop. */
  async #settled(): Promise<'dropped' | 'pending'> {
    const { isComplete } = await this.console.peers.tell({ kind: 'settled' });
    return isComplete ? 'dropped' : 'pending';
  }
}

function faultsOf(by: InvalidationBy, given: string | string[] | undefined, why: string | undefined): string[] {
  if (by === 'all') {
    return [
      ...(given === undefined ? [] : ['value: all takes none']),
      ...(why === undefined ? ['reason: is missing'] : []),
    ];
  }
  if (given === undefined) return ['value: is missing'];
  if (Array.isArray(given) !== (by === 'keys'))
    return [`value: must be ${by === 'keys' ? 'a list of keys' : 'a text'}`];
  return given.length === 0 || (typeof given === 'string' && given.trim() === '') ? ['value: must not be blank'] : [];
}

const actionOf = ({ by }: Order): AdminAction => (by === 'all' ? 'purge-all' : 'invalidate');
const targetOf = ({ by, values }: Order): string => [by, ...values.slice(0, 5)].join(' ');
const paramsOf = ({ mode, maxKeys, values }: Order) => ({ mode, maxKeys, values: values.length });
