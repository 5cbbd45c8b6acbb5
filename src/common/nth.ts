/** The item at a place that is known to be inside the list. */
export const nth = <T>(list: readonly T[], index: number): T => list[index] as T;
