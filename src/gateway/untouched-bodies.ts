import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AbstractHttpAdapter } from '@nestjs/core';
import { forwardTargetOf } from './forward.metadata.ts';

type Next = (error?: unknown) => void;
type Middleware = (request: IncomingMessage, response: ServerResponse, next: Next) => unknown;

/** A layer of an Express router: a middleware, or a route with the handlers of its methods. */
interface Layer {
  handle: Middleware;
  readonly match: (path: string) => unknown;
  readonly route?: {
    readonly methods: Readonly<Record<string, boolean>>;
    readonly stack: readonly { readonly handle: unknown }[];
  };
}

interface ExpressApplication {
  readonly router: { readonly stack: readonly Layer[] };
}

/** The hooks of Fastify that are used here. */
interface FastifyInstance {
  addHook: (name: 'onRoute', hook: (route: FastifyRoute) => void) => unknown;
}

interface FastifyAdapter {
  all: (...route: unknown[]) => unknown;
}

interface FastifyRoute {
  readonly config?: object;
  preParsing?: unknown;
  preValidation?: unknown;
}

interface FastifyRequest {
  readonly raw: IncomingMessage;
}

/**
 * Keeps the bodies of forwarded requests from being parsed: they go on as they come, whatever their type and however
 * long they are. Called before routes are registered, when the parsers are there already.
 */
export function leaveBodiesAlone(adapter: AbstractHttpAdapter | undefined): void {
  const instance: unknown = adapter?.getInstance();
  switch (adapter?.getType()) {
    case 'express':
      leaveToRoutes(instance as ExpressApplication);
      break;
    case 'fastify':
      leaveToMarkedRoutes(adapter as unknown as FastifyAdapter, instance as FastifyInstance);
      break;
  }
}

/** Fastify knows no names of wildcards: `/orders/*path` of Express is its `/orders/*`. Called before routes are registered. */
export function takeNamedWildcards(adapter: AbstractHttpAdapter | undefined): void {
  if (adapter?.getType() !== 'fastify') return;
  const target = adapter as { normalizePath?: (path: string) => string };
  const original = target.normalizePath?.bind(adapter);
  target.normalizePath = (path) => (original?.(path) ?? path).replace(/\/\*\w+$/, '/*');
}

const PARSER = /^(?:json|urlencoded|text|raw)Parser$/;

/** Express parses before it knows the route, so the parsers have to find that out. */
function leaveToRoutes(application: ExpressApplication): void {
  const { stack } = application.router;
  for (const layer of stack) {
    const { handle } = layer;
    if (!PARSER.test(handle.name)) continue;
    layer.handle = (request, response, next) => {
      if (isForwarded(request, stack)) next();
      else handle(request, response, next);
    };
  }
}

/** Whether the first route that the request fits is a forwarded one. */
function isForwarded({ url = '', method = '' }: IncomingMessage, stack: readonly Layer[]): boolean {
  const [path = ''] = url.split('?', 1);
  const verb = method.toLowerCase();
  const first = stack.find(({ route, match }, at) => {
    if (route === undefined) return false;
    const isItsMethod = route.methods['_all'] === true || route.methods[verb] === true;
    return isItsMethod && Boolean(Reflect.apply(match, stack[at], [path]));
  });
  return first?.route?.stack.some(({ handle }) => forwardTargetOf(handle) !== undefined) === true;
}

const ABOUT_BODY = ['content-type', 'content-length', 'transfer-encoding'] as const;
const HIDDEN = Symbol('hidden');

/** What the request says about its body, while Fastify is not to know that there is one. */
interface Hiding extends IncomingMessage {
  [HIDDEN]?: Readonly<Record<string, string | undefined>>;
}

const FORWARDED = Symbol('forwarded');
/** Where Nest looks for what Fastify is to know of a route, as `@RouteConfig()` leaves it. */
const ROUTE_CONFIG = '__fastify_route_config__';

/** Marks a forwarded route, so that Fastify's own hooks recognise it. Called before routes are registered. */
export function markForwarded(handler: object): void {
  const config = (Reflect.getMetadata(ROUTE_CONFIG, handler) ?? {}) as object;
  Reflect.defineMetadata(ROUTE_CONFIG, { ...config, [FORWARDED]: true }, handler);
}

function leaveToMarkedRoutes(adapter: FastifyAdapter, instance: FastifyInstance): void {
  // Nest 11 does not hand on the config of a route for all methods.
  let config: object | undefined;
  const all = adapter.all.bind(adapter);
  adapter.all = (...route) => {
    config = Reflect.getMetadata(ROUTE_CONFIG, route.at(-1) as object) as object | undefined;
    try {
      return all(...route);
    } finally {
      config = undefined;
    }
  };
  instance.addHook('onRoute', (route) => {
    if (FORWARDED in (route.config ?? config ?? {})) leaveToRoute(route);
  });
}

/** Fastify knows the route before it parses, and parses whatever says that it is there. */
function leaveToRoute(route: FastifyRoute): void {
  route.preParsing = [...[route.preParsing ?? []].flat(), hide];
  route.preValidation = [show, ...[route.preValidation ?? []].flat()];
}

function hide(request: FastifyRequest, _reply: unknown, payload: unknown, done: (error: null, body: unknown) => void) {
  const raw = request.raw as Hiding;
  raw[HIDDEN] = Object.fromEntries(ABOUT_BODY.map((name) => [name, raw.headers[name]]));
  for (const name of ABOUT_BODY) Reflect.deleteProperty(raw.headers, name);
  done(null, payload);
}

function show(request: FastifyRequest, _reply: unknown, done: () => void): void {
  const raw = request.raw as Hiding;
  for (const [name, value] of Object.entries(raw[HIDDEN] ?? {})) if (value !== undefined) raw.headers[name] = value;
  done();
}
