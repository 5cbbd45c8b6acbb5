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
