/**
 * The rules of HTTP caching, each a function of methods, addresses, statuses and headers: no Nest, no sockets, no
 * store. The response cache of routes and the gateway decide with the same ones. Headers have lower-case names; times
 * are milliseconds. One exchange meets them in this order:
 *
 *   request    `pathOf`, `queryOf`, `hostOf`, `cookiesOf` → the key; `requestDirectivesOf` → what the client asks for
 *   found      `variantOf(vary names of the entry)` → is it meant for this request? `fitnessOf(age, lifetime)` → is it
 *              good enough? `isNotModified` → 304 with the headers of `isInNotModified`
 *   forwarded  `headFault`, `bodyFault` → may it be stored? `lifetimeOf`, `ageOnArrival` → for how long?
 *              `varyNamesOf` → for whom? `storedHeaders` → what of it; after a 304 of the origin `updatedHeaders`
 *   answered   `cacheStatusOf`, `legacyStatusOf` → what the client is told
 *   unsafe     `isUnsafe`, `invalidatedPaths` → what is out of date now
 */
export {
  appended,
  type CacheOutcome,
  cacheStatusOf,
  type Detail,
  type Forward,
  legacyStatusOf,
  statusName,
} from './cache-status.ts';
export { deltaSeconds, type Directives, directivesOf, durationOf } from './cache-control.ts';
export { ageOnArrival, declaredAge, type Lifetime, type LifetimeDefaults, lifetimeOf } from './freshness.ts';
export { dateOf, headerOf, type HttpHeaders, listMembers } from './http-headers.ts';
export { invalidatedPaths, isUnsafe } from './invalidation.ts';
export { type Fitness, fitnessOf, type RequestDirectives, requestDirectivesOf } from './request-directives.ts';
export { cookiesOf, hostOf, pathOf, queryOf, type QueryRules } from './request-key.ts';
export { bodyFault, headFault, mayBeStored, sharesAuthorized, type Unstorable } from './storable.ts';
export { asRecord, type StoredHeader, storedHeaders, updatedHeaders } from './stored-headers.ts';
export {
  etagOf,
  hasPrecondition,
  hasValidator,
  isConditional,
  isInNotModified,
  isNotModified,
  weakened,
} from './validators.ts';
export { variantOf, varyNamesOf } from './vary.ts';
