import type { Caller } from '../common/caller.ts';
import type { Header } from './headers/header-form.ts';
import { headersOf } from './headers/headers.ts';
import { PROBLEM_JSON } from '../common/problem.ts';
import { outageProblem, refusalProblem, retryAfterSeconds } from './problem.ts';
import type { Judgement } from './rate-limit.decision.ts';
import type { ResolvedRateLimitModuleOptions } from './rate-limit.options.ts';

/** What Express and Fastify have in common. */
export interface HttpResponse {
  readonly statusCode: number;
  readonly getHeader: (name: string) => unknown;
  readonly header: (name: string, value: string) => unknown;
}

type Settings = Pick<ResolvedRateLimitModuleOptions, 'headers' | 'errors' | 'partitionSecret'>;

const EXPOSE = 'Access-Control-Expose-Headers';

/** Tells HTTP clients where they stand. */
export class RateLimitResponse {
  constructor(private readonly settings: Settings) {}

  /** On every answer, refused or not. */
  describe({ standings, decision }: Judgement, caller: Caller, response: HttpResponse): void {
    const headers = headersOf(this.settings.headers, standings, this.settings);
    for (const [name, value] of headers) response.header(name, value);
    if (decision.allowed) expose(headers, caller, response);
    else this.#announce(retryAfterSeconds(decision.retryAfterMs), headers, caller, response);
  }

  describeOutage(retryAfterMs: number, caller: Caller, response: HttpResponse): void {
    this.#announce(retryAfterSeconds(retryAfterMs), [], caller, response);
  }

  /** Undefined: what Nest answers by itself. */
  refusalBody(judgement: Judgement, { request }: Caller): object | undefined {
    return this.settings.errors === 'problem' ? refusalProblem(judgement, nameOf(request)) : undefined;
  }

  outageBody({ request }: Caller): object | undefined {
    return this.settings.errors === 'problem' ? outageProblem(nameOf(request)) : undefined;
  }

  /** Before the error is thrown: both platforms leave a type that ends in `+json` as it is. */
  #announce(seconds: number, headers: readonly Header[], caller: Caller, response: HttpResponse): void {
    const retryAfter: Header = ['Retry-After', String(seconds)];
    response.header(...retryAfter);
    if (this.settings.errors === 'problem') response.header('Content-Type', PROBLEM_JSON);
    expose([...headers, retryAfter], caller, response);
  }
}

/** Scripts of other origins may read only the headers that are named here. */
function expose(headers: readonly Header[], { request }: Caller, response: HttpResponse): void {
  if (request.headers['origin'] === undefined || headers.length === 0) return;
  const names = headers.map(([name]) => name);
  const given = response.getHeader(EXPOSE);
  const exposed = typeof given === 'string' && given !== '' ? given.split(/\s*,\s*/) : [];
  const known = new Set(exposed.map((name) => name.toLowerCase()));
  const missing = names.filter((name) => !known.has(name.toLowerCase()));
  response.header(EXPOSE, [...exposed, ...missing].join(', '));
}

/** What the request is called in logs: by the platform, or by whoever sent it. */
function nameOf(request: Caller['request']): string | undefined {
  const { id, headers } = request as Caller['request'] & { readonly id?: unknown };
  const name = id ?? headers['x-request-id'];
  return typeof name === 'string' && /^[\w.:-]{1,128}$/.test(name) ? name : undefined;
}
