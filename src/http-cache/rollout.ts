import type { ResolvedCacheOptions } from '../cache/cache.options.ts';
import type { KeySpace } from '../common/keys.ts';
import { stablePercent } from '../common/stable-hash.ts';

/** Whether responses of a name are cached at all (`cache.rolloutPercent`): always the same ones, in all processes. */
export function rolloutOf(
  { rolloutPercent }: Pick<ResolvedCacheOptions, 'rolloutPercent'>,
  keys: KeySpace,
): (name: string) => boolean {
  return rolloutPercent === 100 ? () => true : (name) => stablePercent(keys.full(name)) < rolloutPercent;
}
