import { type CanActivate, type ExecutionContext, HttpException, Inject, Injectable, type Type } from '@nestjs/common';
import { HttpAdapterHost, ModuleRef, Reflector } from '@nestjs/core';
import { isObservable, lastValueFrom } from 'rxjs';
import type { RateLimitPolicy } from '../../rate-limit/rate-limit.policy.ts';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import type { AdminAction } from '../admin.options.ts';
import { AdminProblem } from '../admin.problem.ts';
import { areSame } from '../signer.ts';
import { ADMIN_ROUTE, type AdminRoute } from './admin.route.ts';
import { type AdminRequest, actorOf, headerOf, requestIdOf, requestOf, setCaller } from './caller.ts';
import { harden } from './hardening.ts';

const REQUESTS: RateLimitPolicy = { name: 'keep-admin', limit: 60, window: '1m' };
/** Wrong tokens of one address: guessing has to be slow. */
const GUESSES: RateLimitPolicy = { name: 'keep-admin-guess', limit: 20, window: '1m' };

/** Lets requests to the admin API in: the application's guards, the token, where it comes from, how often, and what for. */
@Injectable()
export class AdminGuard implements CanActivate {
  constructor(
    @Inject(ADMIN_CONSOLE) private readonly console: AdminConsole,
    @Inject(Reflector) private readonly reflector: Reflector,
    @Inject(ModuleRef) private readonly modules: ModuleRef,
    @Inject(HttpAdapterHost) private readonly host: HttpAdapterHost,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    harden(this.host, context.switchToHttp().getResponse());
    const route = this.reflector.get<AdminRoute | undefined>(ADMIN_ROUTE, context.getHandler());
    if (route === undefined) throw new AdminProblem(403, 'FORBIDDEN', 'This route says nothing of who may use it');
    if (route.action === 'public') return true;
    const request = requestOf(context);
    try {
      await this.#letIn(context, request, route, route.action);
    } catch (error) {
      if (route.changes) await this.#recordRefusal(request, route.action, error);
      throw error;
    }
    return true;
  }

  async #letIn(
    context: ExecutionContext,
    request: AdminRequest,
    route: AdminRoute,
    action: AdminAction,
  ): Promise<void> {
    await this.#askGuards(context);
    await this.#checkToken(request);
    if (route.changes) checkOrigin(request);
    if (route.counts)
      await this.#count(REQUESTS, `${actorOf(request, this.console.options.token)} ${request.ip ?? ''}`);
    const { authorize } = this.console.options;
    const may = async (wanted: AdminAction) => authorize === null || (await authorize(context, wanted));
    if (!(await may(action))) throw new AdminProblem(403, 'FORBIDDEN', `You may not do this: ${action}`);
    const { ip = null } = request;
    setCaller(request, {
      actor: actorOf(request, this.console.options.token),
      ip,
      requestId: requestIdOf(request),
      may,
    });
  }

  async #askGuards(context: ExecutionContext): Promise<void> {
    for (const given of this.console.options.guards) {
      const guard = typeof given === 'function' ? await this.#instanceOf(given) : given;
      const answer = await guard.canActivate(context);
      const isIn = isObservable(answer) ? await lastValueFrom(answer) : answer;
      if (!isIn) throw new AdminProblem(403, 'FORBIDDEN', 'A guard of the application refuses this request');
    }
  }

  async #instanceOf(guard: Type<CanActivate>): Promise<CanActivate> {
    const known = this.#known(guard);
    return known ?? this.modules.create(guard);
  }

  #known(guard: Type<CanActivate>): CanActivate | undefined {
    try {
      return this.modules.get(guard, { strict: false });
    } catch {
      return undefined;
    }
  }

  async #checkToken(request: AdminRequest): Promise<void> {
    const { token } = this.console.options;
    if (token === null) return;
    const [, given = ''] = /^Bearer (.+)$/i.exec(headerOf(request, 'authorization') ?? '') ?? [];
    if (areSame(given, token)) return;
    if (given !== '') await this.#count(GUESSES, request.ip ?? 'unknown');
    throw new AdminProblem(401, 'UNAUTHENTICATED', 'Send the admin token as Authorization: Bearer …');
  }

  async #count(policy: RateLimitPolicy, subject: string): Promise<void> {
    const { allowed, retryAfterMs } = await this.console.ownLimits.consume(policy, subject);
    if (allowed) return;
    const retryAfterSeconds = Math.max(1, Math.ceil(retryAfterMs / 1_000));
    throw new AdminProblem(429, 'TOO_MANY_REQUESTS', `Try again in ${retryAfterSeconds} s`, { retryAfterSeconds });
  }

  /** Not those that come too often: they would fill the trail. */
  async #recordRefusal(request: AdminRequest, action: AdminAction, error: unknown): Promise<void> {
    const { code } = (error instanceof HttpException ? error.getResponse() : {}) as { code?: unknown };
    const outcome = typeof code === 'string' ? code : 'REFUSED';
    if (outcome === 'TOO_MANY_REQUESTS') return;
    const [path = ''] = request.url.split('?');
    await this.console.audit.record({
      ...{
        actor: outcome === 'UNAUTHENTICATED' ? 'unknown' : actorOf(request, this.console.options.token),
        action,
        outcome,
      },
      ...{ target: `${request.method} ${path.slice(0, 200)}`, params: {}, dryRun: false, affected: null, reason: null },
      ...{ ip: request.ip ?? null, requestId: requestIdOf(request) },
    });
  }
}

/** A form of another site can send neither JSON nor these headers. */
function checkOrigin(request: AdminRequest): void {
  const site = headerOf(request, 'sec-fetch-site');
  const origin = headerOf(request, 'origin');
  const isOwn = origin !== undefined && hostOf(origin) === headerOf(request, 'host');
  const isOurs =
    site === undefined ? origin === undefined || isOwn : site === 'same-origin' || site === 'none' || isOwn;
  if (!isOurs) throw new AdminProblem(403, 'CROSS_SITE', 'Another site may not do this');
  const type = headerOf(request, 'content-type');
  const isBodiless = request.method === 'DELETE' && type === undefined;
  if (isBodiless || /^application\/json\s*(;|$)/i.test(type ?? '')) return;
  throw new AdminProblem(415, 'JSON_ONLY', 'Send the body as application/json');
}

function hostOf(origin: string): string | undefined {
  try {
    return new URL(origin).host;
  } catch {
    return undefined;
  }
}
