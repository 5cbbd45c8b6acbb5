import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, ROUTE_ARGS_METADATA, SSE_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import type { CacheableOperation } from '../cache/cacheable.decorator.ts';

const CACHED_METHODS: readonly RequestMethod[] = [RequestMethod.GET, RequestMethod.HEAD, RequestMethod.ALL];
const SHARED_PLACEHOLDER = /^\{(?:params|query)\b/;

/** What is wrong with `@Cacheable` on this route. */
export function routeFaults(route: object, { key, tags, when, unless }: CacheableOperation): string[] {
  const templates = [key.template, ...(tags?.templates ?? [])].filter((template) => template !== undefined);
  const callbacks = Object.entries({ key: key.isFunction, tags: tags?.isFunction, when, unless });
  return [
    ...(CACHED_METHODS.includes(Reflect.getMetadata(METHOD_METADATA, route) as RequestMethod)
      ? []
      : ['only GET can be cached; on other routes use @CacheEvict or @CachePut']),
    ...(Reflect.hasMetadata(SSE_METADATA, route) ? ['an event stream cannot be cached'] : []),
    ...callbacks
      .filter(([, callback]) => Boolean(callback))
      .map(([option]) => `${option}: a route has no arguments before its handler runs; use a template`),
    ...templates
      .flatMap((template) => template.from('argument', 'request'))
      .filter((placeholder) => !SHARED_PLACEHOLDER.test(placeholder))
      .map((placeholder) => `${placeholder}: a route is cached by {params.…} and {query.…}`),
  ];
}

/**
 * Whether the handler is handed the response or the next handler. Nest then may send nothing of its own, so a hit
 * would hang, and what the handler does to the response would be missing from it.
 */
export function ownsResponse(controller: object, property: string | symbol): boolean {
  const parameters = (Reflect.getMetadata(ROUTE_ARGS_METADATA, controller, property) ?? {}) as object;
  const types: readonly unknown[] = Object.keys(parameters).map((key) => Number(key.split(':')[0]));
  return types.includes(RouteParamtypes.RESPONSE) || types.includes(RouteParamtypes.NEXT);
}
