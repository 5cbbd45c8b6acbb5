import {
  type CanActivate,
  type ExecutionContext,
  ForbiddenException,
  Injectable,
  Logger,
  Optional,
} from '@nestjs/common';
import { isStoreFailure } from '../common/errors.ts';
import { transportException } from '../common/transport-exception.ts';
import { refuseToRun } from '../common/wrap-method.ts';
import { type Caller, callerOf } from '../common/caller.ts';
import type { PolicySet } from './policy-set.ts';
import type { JudgedRequest, Judgement, RateLimitDecision } from './rate-limit.decision.ts';
import { LimitsUnavailableError, RateLimitExceededError } from './rate-limit.errors.ts';
import type { RateLimitPolicy } from './rate-limit.policy.ts';
import { type HttpResponse, RateLimitResponse } from './rate-limit.response.ts';
import { rulesFor } from './rate-limit.rules.ts';
import { RateLimitService } from './rate-limit.service.ts';
import { refundAfter } from './refund.ts';
import { RequestGate } from './request-gate.ts';

/**
 * One call of a handler has one context, however many of these guards it passes. A mark, because a WeakSet with an entry
 * per request costs the garbage collector more than all of the guard.
 */
const JUDGED = Symbol('nestjs-keep:judged');

type MarkedContext = ExecutionContext & { [JUDGED]?: true };

/**
 * Decides what `@RateLimit` says about a handler, and `policies.default` about handlers without a decorator. The
 * decorator brings a guard of its own, which runs behind those of the method; this one is for `@UseGuards` and
 * `APP_GUARD`, where the place is yours to choose: whoever is to be counted as a user has to be known by then.
 *
 * What it does is made of small methods that a subclass may replace.
 *
 * @publicApi
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  readonly #parts: GuardParts | undefined;
  /** What applies to each handler, by its class: it may be inherited by several. */
  readonly #plans = new WeakMap<object, Map<object, HandlerPlan>>();

  /** @param limits of a running `CacheModule`; without one, limited handlers fail */
  constructor(@Optional() limits?: RateLimitService) {
    if (limits === undefined) return;
    const { options } = limits;
    this.#parts = {
      limits,
      gate: new RequestGate(options, new Logger('RateLimit')),
      answers: new RateLimitResponse(options),
    };
  }

  /** Whether this call is neither counted nor refused. */
  protected shouldSkip?(context: ExecutionContext): boolean;

  /** Who is counted; undefined leaves it to the policy's `by`. */
  protected subjectOf?(policy: Pick<RateLimitPolicy, 'name'>, context: ExecutionContext): string | undefined;

  /** Whose limits of policies with `tiers` apply; undefined leaves it to the module's `tier`. */
  protected tierOf?(context: ExecutionContext): string | undefined;

  /** What a refused call is answered with; undefined: RateLimitExceededError. */
  protected errorOf?(decision: RateLimitDecision, context: ExecutionContext): Error | undefined;

  /** @throws RateLimitExceededError (429), StoreUnavailableError (503), or what the transport understands instead */
  canActivate(context: MarkedContext): boolean | Promise<boolean> {
    const { set, refuse } = this.#planFor(context.getHandler(), context.getClass());
    if (refuse !== undefined) return refuse();
    if (this.#parts === undefined || set === undefined || context[JUDGED] === true) return true;
    context[JUDGED] = true;
    return this.#decide(this.#parts, set, context);
  }

  /** Worked out once: what decorators say does not change. */
  #planFor(handler: NamedFunction, host: NamedFunction): HandlerPlan {
    const known = this.#plans.get(handler)?.get(host);
    if (known !== undefined) return known;
    const plan = planOf(handler, host, this.#parts);
    const byHost = this.#plans.get(handler) ?? new Map<object, HandlerPlan>();
    this.#plans.set(handler, byHost.set(host, plan));
    return plan;
  }

  #decide(parts: GuardParts, set: PolicySet, context: ExecutionContext): boolean | Promise<boolean> {
    const caller = callerOf(context);
    const request = this.shouldSkip?.(context) === true ? undefined : this.#requestOf(parts, set, caller, context);
    if (request === undefined) return true;
    const response = context.getType() === 'http' ? context.getArgByIndex<HttpResponse>(1) : undefined;
    const call: LimitedCall = { context, caller, request, response };
    const judgement = parts.limits.spend(request);
    if (!(judgement instanceof Promise)) return this.#act(parts, call, judgement);
    return judgement.then(
      (late) => this.#act(parts, call, late),
      (error: unknown) => fail(parts, call, error),
    );
  }

  /** Undefined for what is not limited. @throws ForbiddenException for addresses that are denied */
  #requestOf(
    { gate }: GuardParts,
    set: PolicySet,
    caller: Caller,
    context: ExecutionContext,
  ): JudgedRequest | undefined {
    const admission = gate.admission(caller);
    if (admission === 'denied') throw new ForbiddenException();
    if (admission === 'exempt') return undefined;
    return gate.requestOf(set, caller, {
      tier: set.hasTiers ? this.tierOf?.(context) : undefined,
      subjectOf: (policy) => this.subjectOf?.(policy, context),
    });
  }

  #act(parts: GuardParts, call: LimitedCall, judgement: Judgement): boolean | Promise<boolean> {
    const { request, caller, response } = call;
    if (response !== undefined) parts.answers.describe(judgement, caller, response);
    if (!judgement.decision.allowed) return this.#refuse(parts, call, judgement);
    if (response !== undefined) refundAfter(response, { request, caller, limits: parts.limits });
    return true;
  }

  async #refuse({ answers }: GuardParts, { context, caller }: LimitedCall, judgement: Judgement): Promise<never> {
    const own = this.errorOf?.(judgement.decision, context);
    if (own !== undefined) throw own;
    const { retryAfterMs, violated } = judgement.decision;
    const error = new RateLimitExceededError(retryAfterMs, violated, answers.refusalBody(judgement, caller));
    throw await transportException(error, context.getType());
  }
}

type NamedFunction = object & { readonly name: string };

/** What a guard does about the calls of one handler. */
interface HandlerPlan {
  /** Undefined for one that is not limited. */
  readonly set?: PolicySet | undefined;
  /** Without the module: why it does not run. */
  readonly refuse?: () => never;
}

function planOf(handler: NamedFunction, host: NamedFunction, parts: GuardParts | undefined): HandlerPlan {
  const rules = rulesFor(handler, host);
  if (rules?.length === 0) return {};
  const name = `${host.name}.${handler.name}`;
  if (parts !== undefined) return { set: parts.limits.policies.setFor(rules, name) };
  return rules === undefined ? {} : { refuse: () => refuseToRun('RateLimit')(name) };
}

interface GuardParts {
  readonly limits: RateLimitService;
  readonly gate: RequestGate;
  readonly answers: RateLimitResponse;
}

/** One call of a handler, and what is known about it. */
interface LimitedCall {
  readonly context: ExecutionContext;
  readonly caller: Caller;
  readonly request: JudgedRequest;
  /** On HTTP. */
  readonly response: HttpResponse | undefined;
}

async function fail(
  { answers }: GuardParts,
  { context, caller, response }: LimitedCall,
  error: unknown,
): Promise<never> {
  if (!isStoreFailure(error)) throw error;
  const failure = new LimitsUnavailableError(answers.outageBody(caller));
  if (response !== undefined) answers.describeOutage(failure.retryAfterMs, caller, response);
  throw await transportException(failure, context.getType());
}

/** What `@RateLimit` puts on handlers; at start-up it is moved behind the other guards of its method or class. */
@Injectable()
export class HandlerRateLimitGuard extends RateLimitGuard {}
