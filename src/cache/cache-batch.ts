import type { GetOrSetOptions } from './get-or-set.options.ts';
import type { Duration } from '../common/duration.ts';

/** What `getOrSetMany` gets from its factory: a value for each key that has one. */
export type Loaded<T> = ReadonlyMap<string, T> | Readonly<Record<string, T>>;

/** How long a batch waits for keys that are still being asked for, once it has the first. */
const GATHER_MS = 2;

/**
 * Gathers the keys that turn out to be missing, so that one factory run answers all of them: it runs when every key
 * has either been found or asked for, or shortly after the last was asked for when some wait for other processes.
 */
export class BatchLoader<T> {
  private readonly asked = new Map<string, (loaded: Promise<T | undefined>) => void>();
  private timer: NodeJS.Timeout | undefined;

  /** @param undecided how many keys are looked at */
  constructor(
    private readonly factory: (missing: string[]) => Promise<Loaded<T>>,
    private undecided: number,
  ) {}

  /** Asks for a missing key; to be its factory. */
  load(key: string): Promise<T | undefined> {
    const loaded = new Promise<T | undefined>((resolve) => this.asked.set(key, resolve));
    this.decided();
    return loaded;
  }

  /** Says that a key was found, or is asked for. */
  decided(): void {
    this.undecided--;
    clearTimeout(this.timer);
    if (this.undecided <= 0) this.run();
    else this.timer = setTimeout(() => this.run(), GATHER_MS);
  }

  private run(): void {
    clearTimeout(this.timer);
    if (this.asked.size === 0) return;
    const batch = new Map(this.asked);
    this.asked.clear();
    const loaded = this.loadAll([...batch.keys()]);
    for (const [key, resolve] of batch) resolve(loaded.then((values) => values.get(key)));
  }

  private async loadAll(keys: string[]): Promise<ReadonlyMap<string, T>> {
    const loaded = await this.factory(keys);
    return loaded instanceof Map ? loaded : new Map(Object.entries(loaded as Record<string, T>));
  }
}

/** One value to have in the cache before it is asked for. */
export interface WarmEntry {
  readonly key: string;
  readonly ttl?: number | Duration | GetOrSetOptions;
  readonly factory: () => unknown;
}

export interface WarmReport {
  /** Keys whose factory ran. */
  readonly loaded: number;
  /** Keys that were there already; all of them when warming is switched off. */
  readonly skipped: number;
  readonly failed: readonly { readonly key: string; readonly error: Error }[];
  readonly durationMs: number;
}

/** Runs `act` for every item, at most `concurrency` at a time. */
export async function eachOf<I>(
  items: Iterable<I>,
  concurrency: number,
  act: (item: I) => Promise<void>,
): Promise<void> {
  const queue = items[Symbol.iterator]();
  const work = async (): Promise<void> => {
    for (let next = queue.next(); next.done !== true; next = queue.next()) await act(next.value);
  };
  await Promise.all(Array.from({ length: concurrency }, work));
}

export function* chunksOf<I>(items: Iterable<I>, size: number): Iterable<I[]> {
  let chunk: I[] = [];
  for (const item of items) {
    chunk.push(item);
    if (chunk.length < size) continue;
    yield chunk;
    chunk = [];
  }
  if (chunk.length > 0) yield chunk;
}
