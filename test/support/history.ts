/** One time somebody held a lock, by one monotonic clock: from when the grant arrived to when giving it back began. */
export interface Hold {
  readonly askedAt: number;
  readonly from: number;
  readonly to: number;
  readonly fence: number;
}

/** What is wrong with the history of one lock: two holders at a time, or a fence that did not grow. */
export function lockViolations(holds: readonly Hold[]): string[] {
  const inOrder = [...holds].sort((a, b) => a.from - b.from);
  return inOrder.flatMap((hold, i) =>
    inOrder
      .slice(0, i)
      .flatMap((earlier) => [
        ...(hold.from < earlier.to ? [`#${hold.fence} was granted while #${earlier.fence} was held`] : []),
        ...(hold.askedAt > earlier.from && hold.fence <= earlier.fence
          ? [`fence ${hold.fence} came after ${earlier.fence}`]
          : []),
      ]),
  );
}

/** One admitted call, from before it was made to when its answer arrived. */
export interface Admission {
  readonly askedAt: number;
  readonly answeredAt: number;
}

/** Where more than `limit` calls were certainly admitted within less than a window. */
export function windowViolations(admissions: readonly Admission[], limit: number, windowMs: number): string[] {
  const inOrder = [...admissions].sort((a, b) => a.answeredAt - b.answeredAt);
  return inOrder.slice(limit).flatMap((last, i) => {
    const spanMs = last.answeredAt - inOrder[i]!.askedAt;
    return spanMs < windowMs ? [`${limit + 1} calls were admitted within ${spanMs.toFixed(1)} ms`] : [];
  });
}

/** A version of a key whose predecessors were invalidated by `node`, and when that was acknowledged. */
export interface Invalidation {
  readonly key: string;
  readonly version: number;
  readonly at: number;
  readonly node: number;
  /** Acknowledged while that node was cut off: the others hear of it when it is back. */
  readonly isLocal: boolean;
}

/** A read: what was answered to who began to ask at `at`. */
export interface Read {
  readonly key: string;
  readonly version: number;
  readonly at: number;
  readonly node: number;
}

export interface FreshnessRules {
  /** How long after an invalidation another node may still answer with an older version. */
  readonly boundMs: number;
  /** From when on a node counts as cut off and until when, healing included. */
  readonly cutOff: readonly { readonly node: number; readonly from: number; readonly to: number }[];
}

/**
 * Reads that answered with what was certainly invalidated before they began: at once on the node that did it, after
 * the bound on the others; a node that was cut off has the bound from its healing on.
 */
export function freshnessViolations(
  invalidations: readonly Invalidation[],
  reads: readonly Read[],
  { boundMs, cutOff }: FreshnessRules,
): string[] {
  const knownFrom = ({ node, at, isLocal }: Invalidation, reader: number): number => {
    if (node === reader) return at;
    const heals = cutOff.filter((cut) => cut.node === reader || (isLocal && cut.node === node));
    return heals.reduce((time, { from, to }) => (from <= time + boundMs && time <= to ? to : time), at) + boundMs;
  };
  return reads.flatMap((read) => {
    const missed = invalidations.find(
      (each) => each.key === read.key && each.version > read.version && knownFrom(each, read.node) < read.at,
    );
    if (missed === undefined) return [];
    const lateMs = Math.round(read.at - missed.at);
    return [
      `node ${read.node} read ${read.key} v${read.version}, ${lateMs} ms after node ${missed.node} made v${missed.version}`,
    ];
  });
}
