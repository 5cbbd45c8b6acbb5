import { oneOf, type RulesOf } from '../common/option-rules.ts';

export interface RateLimitModuleOptions {
  /** Without the server: this process's share, refuse (503), or admit. @default 'local' */
  readonly onOutage?: 'local' | 'reject' | 'allow';
}

export interface ResolvedRateLimitModuleOptions {
  readonly onOutage: 'local' | 'reject' | 'allow';
}

export const RATE_LIMIT_DEFAULTS: ResolvedRateLimitModuleOptions = { onOutage: 'local' };

export const RATE_LIMIT_RULES = {
  onOutage: oneOf('local', 'reject', 'allow'),
} satisfies RulesOf<RateLimitModuleOptions>;
