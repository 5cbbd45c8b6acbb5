import type { ServerResponse } from 'node:http';
import { isStoreFailure } from '../common/errors.ts';
import type { Caller } from '../common/caller.ts';
import type { JudgedRequest } from './rate-limit.decision.ts';
import type { ResolvedPolicy } from './rate-limit.policy.ts';
import type { HttpResponse } from './rate-limit.response.ts';
import type { RateLimitService } from './rate-limit.service.ts';

/** The response of Node itself, which Fastify keeps inside its own. */
type RawResponse = Pick<ServerResponse, 'once' | 'statusCode'>;

interface RefundParts {
  readonly request: JudgedRequest;
  readonly caller: Caller;
  readonly limits: RateLimitService;
}

/** Gives an admitted request back, once it is answered, where a policy says so. */
export function refundAfter(response: HttpResponse, { request, caller, limits }: RefundParts): void {
  const { policies } = request.set;
  if (policies.every(({ refund }) => refund === undefined)) return;
  const raw = ((response as { readonly raw?: unknown }).raw ?? response) as RawResponse;
  raw.once('close', () => {
    const which = [...policies.keys()].filter((at) => isRefunded(policies[at]?.refund, raw.statusCode, caller));
    // Without the server there is nothing to give back to.
    limits.giveBack(request, which).catch((error: unknown) => {
      if (!isStoreFailure(error)) throw error;
    });
  });
}

function isRefunded(refund: ResolvedPolicy['refund'], status: number, { request }: Caller): boolean {
  return refund === 'failed' ? status >= 400 : refund?.(status, request) === true;
}
