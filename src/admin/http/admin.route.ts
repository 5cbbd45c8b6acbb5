import { SetMetadata } from '@nestjs/common';
import type { AdminAction } from '../admin.options.ts';

/** What a route of the admin API needs before it runs. */
export interface AdminRoute {
  /** `public`: it holds no data. */
  readonly action: AdminAction | 'public';
  /** It changes something: JSON only, same origin only, and recorded. */
  readonly changes: boolean;
  /** It counts against the requests per minute; what the page asks by itself does not. */
  readonly counts: boolean;
}

export const ADMIN_ROUTE = Symbol.for('nestjs-keep:admin-route');

const route = (action: AdminRoute['action'], changes: boolean, counts: boolean) =>
  SetMetadata(ADMIN_ROUTE, { action, changes, counts } satisfies AdminRoute);

/** Without any protection. */
export const Public = () => route('public', false, false);
/** Asked by the page itself, again and again. */
export const Watches = () => route('read', false, false);
export const Reads = (action: AdminAction = 'read') => route(action, false, true);
export const Changes = (action: AdminAction) => route(action, true, true);
