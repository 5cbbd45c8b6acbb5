import { HOST_METADATA, VERSION_METADATA } from '@nestjs/common/constants.js';
import { cacheableOperationOf } from '../cache/cacheable.decorator.ts';
import { encodeKeyPart } from '../common/keys.ts';
import { type PolicyDefaults, type RoutePolicy, routePolicyOf } from './route-policy.ts';

/** How each route is cached, worked out once. */
export class RoutePolicies {
  /** By handler, then by controller: a handler may be inherited by several. */
  private readonly known = new WeakMap<object, Map<NamedClass, RoutePolicy | undefined>>();

  constructor(private readonly defaults: PolicyDefaults) {}

  /** Undefined for a route that is not cached. */
  of(controller: NamedClass, handler: object): RoutePolicy | undefined {
    const policies = this.known.get(handler);
    if (policies?.has(controller) === true) return policies.get(controller);
    const policy = this.make(controller, handler, []);
    this.known.set(handler, (policies ?? new Map<NamedClass, RoutePolicy | undefined>()).set(controller, policy));
    return policy;
  }

  /** @param faults what is wrong with the options of the route, one line each */
  make(controller: NamedClass, handler: object, faults: string[]): RoutePolicy | undefined {
    const operation = cacheableOperationOf(handler);
    if (operation === undefined) return undefined;
    const id = routeIdOf(controller, handler, operation.declaration.property);
    return routePolicyOf(operation, id, this.defaults, faults);
  }
}

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
