const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * A number from 0 to 99.99 that belongs to this key, the same in every process and version: the keys below 10 are the
 * first tenth of a gradual roll-out. Not for secrets: anybody can compute it.
 */
export const stablePercent = (key: string): number => (scramble(fnv1a(key)) % 10_000) / 100;

/** FNV-1a over UTF-16 code units, 32 bit. */
function fnv1a(text: string): number {
  let hash = FNV_OFFSET;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), FNV_PRIME);
  return hash;
}

/** Lets every bit of the hash depend on every other (the finish of MurmurHash3): FNV alone keeps neighbours together. */
function scramble(hash: number): number {
  let mixed = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
