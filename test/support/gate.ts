/** A factory that waits at a gate: how often it was entered, and a way to let it go on. */
export interface GatedFactory<T> {
  readonly runs: number;
  (): Promise<T>;
  /** Resolves when the factory is running. */
  entered: Promise<void>;
  /** Lets every run, present and future, finish. */
  open(): void;
}

/** Reads `source` when it begins, waits at the gate, and answers with what it had read: the anatomy of a stale value. */
export function gatedFactory<T>(source: () => T): GatedFactory<T> {
  let enter!: () => void;
  let open!: () => void;
  const entered = new Promise<void>((resolve) => (enter = resolve));
  const gate = new Promise<void>((resolve) => (open = resolve));
  let runs = 0;
  const factory = async (): Promise<T> => {
    runs++;
    const value = source();
    enter();
    await gate;
    return value;
  };
  return Object.defineProperties(factory as GatedFactory<T>, {
    runs: { get: () => runs },
    entered: { value: entered },
    open: { value: open },
  });
}
