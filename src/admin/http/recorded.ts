import { HttpException } from '@nestjs/common';
import { isCacheInfrastructureError } from '../../common/errors.ts';
import { shownText } from '../../common/shown-text.ts';
import type { AdminConsole } from '../admin.console.ts';
import type { AdminAction } from '../admin.options.ts';
import { AdminProblem } from '../admin.problem.ts';
import type { AdminCaller } from './caller.ts';

/** What somebody is about to do. */
export interface Act {
  readonly action: AdminAction;
  readonly target: string;
  readonly params?: Readonly<Record<string, unknown>>;
  readonly dryRun?: boolean;
  readonly reason?: string | undefined;
}

/**
 * Does something and records what came of it, refused acts too.
 * @throws AdminProblem 503 when it cannot be recorded and has to be; nothing is done then
 */
export async function recorded<R>(
  { audit, options }: AdminConsole,
  caller: AdminCaller,
  act: Act,
  run: () => Promise<R>,
  affectedOf: (result: R) => number | null = () => null,
): Promise<R> {
  if (options.audit === 'required' && !(await audit.isReady())) {
    throw new AdminProblem(503, 'AUDIT_UNAVAILABLE', 'This cannot be recorded now, and has to be');
  }
  const { actor, ip, requestId } = caller;
  const { action, target, params = {}, dryRun = false, reason = null } = act;
  const record = (outcome: string, affected: number | null) =>
    audit.record({
      ...{ actor, ip, requestId, action, params, dryRun, reason: reason && shownText(reason, 200), affected, outcome },
      target: shownText(target, 300),
    });
  try {
    const result = await run();
    await record('done', affectedOf(result));
    return result;
  } catch (error) {
    await record(codeOf(error), null);
    throw error;
  }
}

function codeOf(error: unknown): string {
  if (isCacheInfrastructureError(error)) return error.code;
  const body = error instanceof HttpException ? (error.getResponse() as { code?: unknown }) : {};
  return typeof body.code === 'string' ? body.code : 'FAILED';
}
