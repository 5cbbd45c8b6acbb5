import { RequestMethod } from '@nestjs/common';
import { METHOD_METADATA, ROUTE_ARGS_METADATA, SSE_METADATA } from '@nestjs/common/constants.js';
import { RouteParamtypes } from '@nestjs/common/enums/route-paramtypes.enum.js';
import { type CacheableOperation, templatesOf } from '../cache/cacheable.decorator.ts';

const CACHED_METHODS: readonly RequestMethod[] = [RequestMethod.GET, RequestMethod.HEAD, RequestMethod.ALL];
/** What one client sees and another one may, too. */
const SHARED = /^\{(?:params|query)\b/;

/** What is wrong with `@Cacheable` on this route. */
export function routeFaults(route: object, operation: CacheableOperation): string[] {
  const faults: string[] = [];
  if (!CACHED_METHODS.includes(Reflect.getMetadata(METHOD_METADATA, route) as RequestMethod)) {
    faults.push('only GET can be cached; on other routes use @CacheEvict or @CachePut');
  }
  if (Reflect.hasMetadata(SSE_METADATA, route)) faults.push('an event stream cannot be cached');
  for (const option of functionsOf(operation)) {
    faults.push(`${option}: a route has no arguments before its handler runs; use a template`);
  }
  for (const placeholder of templatesOf(operation).flatMap((template) => template.from('argument', 'request'))) {
    if (!SHARED.test(placeholder)) faults.push(`${placeholder}: a route is cached by {params.…} and {query.…}`);
  }
  return faults;
}

function functionsOf({ key, tags, when, unless }: CacheableOperation): string[] {
  const given = { key: key.kind === 'function', tags: tags?.isFunction === true, when, unless };
  return Object.entries(given).flatMap(([option, isGiven]) => (isGiven ? [option] : []));
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
