/** The candidate that a misspelt name most likely meant, or undefined when none is near. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  const [best] = candidates
    .map((candidate) => ({ candidate, distance: distanceTo(name, candidate) }))
    .filter(({ distance }) => distance <= Math.min(2, name.length / 2))
    .sort((a, b) => a.distance - b.distance);
  return best?.candidate;
}

/** A dotted candidate is compared by its last part: `prefix` may have meant `keys.prefix`. */
function distanceTo(name: string, candidate: string): number {
  const last = candidate.slice(candidate.lastIndexOf('.') + 1);
  const [a, b] = [name.toLowerCase(), last.toLowerCase()];
  const isExtended = Math.min(a.length, b.length) > 2 && (a.startsWith(b) || b.startsWith(a));
  return Math.min(differingLetters(a, b), isExtended ? 0.5 : Infinity);
}

/** Length of what is left between the beginning and the end that two names share: one typing error leaves one or two. */
function differingLetters(a: string, b: string): number {
  const shorter = Math.min(a.length, b.length);
  let start = 0;
  while (start < shorter && a.at(start) === b.at(start)) start++;
  let end = 0;
  while (end < shorter - start && a.at(-1 - end) === b.at(-1 - end)) end++;
  return Math.max(a.length, b.length) - start - end;
}
