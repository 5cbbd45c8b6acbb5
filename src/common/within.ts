/** What `promise` becomes within `ms`, or `late` after that; the promise goes on. The timer never outlives the call. */
export async function within<T, L>(promise: Promise<T>, ms: number, late: L): Promise<T | L> {
  let timer: NodeJS.Timeout | undefined;
  const patience = new Promise<L>((resolve) => (timer = setTimeout(resolve, ms, late)));
  try {
    return await Promise.race([promise, patience]);
  } finally {
    clearTimeout(timer);
  }
}
