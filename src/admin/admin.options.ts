import type { CanActivate, ExecutionContext, Type } from '@nestjs/common';
import { aFunction, flag, oneOf, rule, secret, text, type RulesOf } from '../common/option-rules.ts';
import { hideSecrets } from '../common/secrets.ts';

/** What an operator may be allowed to do. */
export type AdminAction = 'read' | 'read-value' | 'invalidate' | 'purge-all' | 'breaker' | 'lock' | 'limit';

export const ADMIN_ACTIONS: readonly AdminAction[] = [
  'read',
  'read-value',
  'invalidate',
  'purge-all',
  'breaker',
  'lock',
  'limit',
];

/** Whether the caller of this request may do that. */
export type AdminAuthorize = (context: ExecutionContext, action: AdminAction) => boolean | Promise<boolean>;
/** What is shown of a value: parts that nobody should see are taken out of a copy. */
export type AdminRedact = (key: string, value: unknown) => unknown;

export interface AdminOptions {
  /** Serves the admin API and the dashboard; needs `token`, `guards` or `authorize`. @default false */
  readonly enabled?: boolean;
  /** Where. The two short endpoints, `cache/keys` and `cache/clear-locks`, lie beside it. @default '/cache/admin' */
  readonly path?: string;
  /** Sent as `Authorization: Bearer …`; at least 16 characters. */
  readonly token?: string;
  /** Guards of the application: all of them have to let a request in, beside the token if there is one. */
  readonly guards?: readonly (CanActivate | Type<CanActivate>)[];
  /** Asked for each act, behind token and guards. */
  readonly authorize?: AdminAuthorize;
  /** Whether values can be looked at: not at all, up to 4 KiB, or whole. @default 'hidden' */
  readonly values?: 'hidden' | 'preview' | 'full';
  /** Takes out of a value what nobody should see. */
  readonly redact?: AdminRedact;
  /** `'required'`: an act that cannot be recorded on the server is refused. @default 'best-effort' */
  readonly audit?: 'best-effort' | 'required';
}

export interface ResolvedAdminOptions {
  readonly enabled: boolean;
  /** Without slashes at its ends. */
  readonly path: string;
  readonly token: string | null;
  readonly guards: readonly (CanActivate | Type<CanActivate>)[];
  readonly authorize: AdminAuthorize | null;
  readonly values: 'hidden' | 'preview' | 'full';
  readonly redact: AdminRedact;
  readonly audit: 'best-effort' | 'required';
}

export const ADMIN_DEFAULTS: ResolvedAdminOptions = {
  enabled: false,
  path: 'cache/admin',
  token: null,
  guards: [],
  authorize: null,
  values: 'hidden',
  redact: (_key, value) => value,
  audit: 'best-effort',
};

const isGuard = (guard: unknown): guard is CanActivate | Type<CanActivate> =>
  typeof guard === 'function' || typeof (guard as Partial<CanActivate> | null)?.canActivate === 'function';

const PATH = /^\/?([\w-]+(?:\/[\w-]+)*)\/?$/;

export const ADMIN_RULES = {
  enabled: flag,
  path: rule('a path such as /cache/admin', (value) => (typeof value === 'string' ? PATH.exec(value)?.[1] : undefined)),
  token: secret(text('at least 16 characters', /^\S{16,}$/)),
  guards: rule('a list of guards', (value) => (Array.isArray(value) && value.every(isGuard) ? value : undefined)),
  authorize: aFunction<AdminAuthorize>(),
  values: oneOf('hidden', 'preview', 'full'),
  redact: aFunction<AdminRedact>(),
  audit: oneOf('best-effort', 'required'),
} satisfies RulesOf<AdminOptions>;

/** Adds a fault when anybody could come in; a token that is wrong is a fault already. */
export function checkedAdmin(options: ResolvedAdminOptions, faults: string[]): ResolvedAdminOptions {
  const isOpen = options.token === null && options.guards.length === 0 && options.authorize === null;
  const isSaid = faults.some((fault) => /^(admin\.|CACHE_ADMIN_TOKEN)/.test(fault));
  if (options.enabled && isOpen && !isSaid) {
    faults.push(
      'CACHE_ADMIN_TOKEN: must be at least 16 characters when CACHE_ADMIN_ENABLED is true, unless admin.guards or ' +
        'admin.authorize protect it; it is not set',
    );
  }
  return hideSecrets({ ...options, token: options.enabled ? options.token : null }, 'token');
}
