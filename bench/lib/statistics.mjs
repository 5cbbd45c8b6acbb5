/** What a noisy machine leaves untouched: half of the values lie on either side. Values that are no numbers are left out. */
export const median = (values) => percentile(values, 0.5);

/** @param share 0 to 1 */
export function percentile(values, share) {
  const sorted = Float64Array.from(values).filter(Number.isFinite).sort();
  if (sorted.length === 0) return Number.NaN;
  const at = share * (sorted.length - 1);
  const below = sorted[Math.floor(at)];
  return below + (sorted[Math.ceil(at)] - below) * (at % 1);
}
