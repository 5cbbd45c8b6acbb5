import { oneOf, type RulesOf } from '../common/option-rules.ts';

export interface CollectionsOptions {
  /** Without the server: refuse, because a local answer would be a wrong one, or answer from this process. @default 'reject' */
  readonly onOutage?: 'reject' | 'local';
}

export interface ResolvedCollectionsOptions {
  readonly onOutage: 'reject' | 'local';
}

export const COLLECTIONS_DEFAULTS: ResolvedCollectionsOptions = { onOutage: 'reject' };

export const COLLECTIONS_RULES = { onOutage: oneOf('reject', 'local') } satisfies RulesOf<CollectionsOptions>;
