import type { LimitedRequest } from '../common/caller.ts';

/** A function of the request; it may ask for the platform's own type of request. */
export type RequestFunction<T> = { of(request: LimitedRequest): T }['of'];
