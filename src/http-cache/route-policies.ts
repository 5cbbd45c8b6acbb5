import { HOST_METADATA, VERSION_METADATA } from '@nestjs/common/constants.js';
import { cacheableOperationOf } from '../cache/cacheable.decorator.ts';
import { requestPlaceholdersOf } from '../cache/request-placeholders.ts';
import { encodeKeyPart } from '../common/keys.ts';
import { type PolicyDefaults, type RoutePolicy, routePolicyOf } from './route-policy.ts';

/** What there is to do for the requests of one route. */
export interface RoutePlan {
  /** Undefined for a route that is not cached. */
  readonly policy: RoutePolicy | undefined;
  /** Whether the decorators around the method read the request. */
  readonly needsRequest: boolean;
}

/** How each route is cached, worked out once. */
export class RoutePolicies {
  /** By handler, then by controller: a handler may be inherited by several. */
  private readonly known = new WeakMap<object, Map<NamedClass, RoutePlan>>();

  constructor(private readonly defaults: PolicyDefaults) {}

  of(controller: NamedClass, handler: object): RoutePlan {
    const plans = this.known.get(handler) ?? new Map<NamedClass, RoutePlan>();
    const known = plans.get(controller);
    if (known !== undefined) return known;
    const needsRequest = requestPlaceholdersOf(handler).length > 0;
    const plan = { policy: this.make(controller, handler, []), needsRequest };
    this.known.set(handler, plans.set(controller, plan));
    return plan;
  }

  /** @param faults what is wrong with the options of the route, one line each */
  make(controller: NamedClass, handler: object, faults: string[]): RoutePolicy | undefined {
    const operation = cacheableOperationOf(handler);
    if (operation === undefined) return undefined;
    const id = routeIdOf(controller, handler, operation.declaration.property);
    return routePolicyOf(operation, id, this.defaults, faults);
  }
}

/** What the keys of the responses of a route begin with, where the route makes no keys of its own. */
export const responsePrefixOf = (controller: NamedClass, handler: object, property: string): string =>
  `http:1:${routeIdOf(controller, handler, property)}:`;

interface NamedClass {
  readonly name: string;
}

/**
 * `Controller.method`, with the version and host of the route: all that tells routes of one path apart, where two
 * modules have controllers of one name.
 */
function routeIdOf(controller: NamedClass, handler: object, property: string | symbol): string {
  const version: unknown =
    Reflect.getMetadata(VERSION_METADATA, handler) ?? Reflect.getMetadata(VERSION_METADATA, controller);
  const host: unknown = Reflect.getMetadata(HOST_METADATA, controller);
  const marks = Object.entries({ version, host })
    .filter(([, value]) => value !== undefined)
    .map(([mark, value]) => `;${mark}=${encodeKeyPart(String(value))}`);
  return `${controller.name}.${String(property)}${marks.join('')}`;
}
