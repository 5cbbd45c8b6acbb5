import type { AnsweredFrom } from '../common/tracing.ts';
import type { Factory } from './cache-factory.ts';
import type { CacheCounts } from './cache-metrics.ts';
import type { Copy } from './cache-reader.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';

/** One read: what is wanted, how it is computed when it is not there, and how it is kept. */
export interface ReadOrder<T> {
  /** The full key. */
  readonly key: string;
  /** The key as the caller wrote it. */
  readonly name: string;
  /** Stamps that the entry will carry: the epochs of its scopes and its static tags. */
  readonly stampNames: readonly string[];
  readonly options: ResolvedReadOptions;
  readonly factory: Factory<T>;
  /** Where the read is counted. */
  readonly counts: CacheCounts;
}

/** How a read was answered. */
export type Outcome<T> =
  | {
      readonly kind: 'hit';
      readonly freshness: 'fresh' | 'stale';
      readonly from: AnsweredFrom;
      readonly copy: Copy<T>;
    }
  | { readonly kind: 'loaded'; readonly copy: Copy<T> };

export const hit = <T>(copy: Copy<T>): Outcome<T> => ({ kind: 'hit', freshness: 'fresh', from: 'store', copy });

/** Whether the caller would rather have a stale value than none. */
export const acceptsStale = ({ graceMs, revalidateMs }: ResolvedReadOptions): boolean =>
  graceMs > 0 || revalidateMs > 0;
