import type { ApplicationConfig, HttpAdapterHost } from '@nestjs/core';
import type { ResolvedAdminOptions } from '../admin.options.ts';
import { notFound } from '../admin.problem.ts';
import { besideOf } from '../admin.routes.ts';
import { answerProblem } from './problem.filter.ts';
import { type FastifyRequest, type FastifyRoute, SecondLook } from './second-look.ts';

/**
 * Requests that reach no operation: they ask for what is not there, or they cannot be read. The platform answers those
 * before any filter of Nest is asked, so it is told here what the admin API says, for its own addresses and no others.
 */
export class Strays {
  constructor(
    private readonly host: HttpAdapterHost,
    private readonly config: ApplicationConfig,
    private readonly admin: ResolvedAdminOptions,
  ) {}

  /** Fastify lets a route say what happens to its errors when it is registered. */
  beforeRoutes(): void {
    if (!this.#isOn('fastify')) return;
    const instance = this.host.httpAdapter.getInstance<Fastify>();
    const roots = this.#addressesOf(this.admin.path);
    const short = this.#shortAddresses();
    const isOurs = ({ url, method }: FastifyRoute): boolean =>
      roots.some((root) => url === root || url.startsWith(`${root}/`)) ||
      short.some((each) => url === each.path && [method].flat().includes(each.method));
    const secondLook = new SecondLook();
    const stray = (request: FastifyRequest, reply: unknown): void => {
      if (!secondLook.answer(request, reply)) this.#miss(reply);
    };
    instance.addHook('onRoute', (route) => {
      if (!isOurs(route)) return;
      route.errorHandler = this.#fail;
      if (route.handler !== stray) secondLook.add(route);
    });
    for (const root of roots) {
      instance.route({ method: WRITING, url: root, handler: stray });
      instance.route({ method: ['GET', ...WRITING], url: `${root}/*`, handler: stray });
    }
  }

  /** Express goes on to whatever was registered behind the routes. */
  behindRoutes(): void {
    if (!this.#isOn('express')) return;
    const express = this.host.httpAdapter.getInstance<Express>();
    const miss: ExpressHandler = (_request, response) => this.#miss(response);
    const failOf =
      (...methods: readonly string[]): ExpressErrorHandler =>
      (error, request, response, next) =>
        methods.length === 0 || methods.includes(request.method) ? this.#fail(error, request, response) : next(error);
    for (const root of this.#addressesOf(this.admin.path)) express.use(root, miss, failOf());
    for (const { method, path } of this.#shortAddresses()) express.use(path, failOf(method));
  }

  readonly #fail = (error: unknown, _request: unknown, response: unknown): void =>
    answerProblem(this.host, response, error);

  #miss(response: unknown): void {
    answerProblem(this.host, response, notFound('resource'));
  }

  #isOn(platform: 'express' | 'fastify'): boolean {
    const { httpAdapter } = this.host as Partial<HttpAdapterHost>;
    return this.admin.enabled && httpAdapter?.getType() === platform;
  }

  #shortAddresses(): { readonly method: string; readonly path: string }[] {
    return this.#addressesOf(besideOf(this.admin.path)).flatMap((root) => [
      { method: 'POST', path: joined(root, 'clear-locks') },
      { method: 'DELETE', path: joined(root, 'keys') },
    ]);
  }

  /** Behind the global prefix; without it, too, where some routes are without it. */
  #addressesOf(path: string): string[] {
    const { exclude = [] } = this.config.getGlobalPrefixOptions();
    const prefixed = joined(this.config.getGlobalPrefix(), path);
    return exclude.length === 0 ? [prefixed] : [...new Set([prefixed, joined(path)])];
  }
}

const WRITING: readonly string[] = ['POST', 'PUT', 'PATCH', 'DELETE'];

const joined = (...parts: readonly string[]): string =>
  `/${parts.flatMap((part) => part.split('/').filter((name) => name !== '')).join('/')}`;

/** What is needed of the platforms; neither has to be installed. */
interface Express {
  use(path: string, ...handlers: readonly (ExpressHandler | ExpressErrorHandler)[]): unknown;
}

type ExpressHandler = (request: unknown, response: unknown) => void;
/** Express knows by the number of parameters that it is for errors. */
type ExpressErrorHandler = (
  error: unknown,
  request: { readonly method: string },
  response: unknown,
  next: (error: unknown) => void,
) => void;

interface Fastify {
  addHook(name: 'onRoute', hook: (route: FastifyRoute) => void): unknown;
  route(route: FastifyRoute): unknown;
}
