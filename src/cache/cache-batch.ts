import type { Duration } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import { integer, type RulesOf } from '../common/option-rules.ts';
import { readOptions } from '../common/read-options.ts';
import type { GetOrSetOptions } from './get-or-set.options.ts';

/** What `getOrSetMany` gets from its factory: a value for each key that has one. */
export type Loaded<T> = ReadonlyMap<string, T> | Readonly<Record<string, T>>;

/**
 * How long a batch waits for keys that are still being looked for, once it has the first: as long again as that one
 * took, for each shard of a cluster answers in its own time.
 */
const GATHER_MS = { least: 2, most: 50 };

/**
 * Gathers the keys that turn out to be missing, so that one factory run answers all of them: it runs when every key
 * has either been found or asked for, or shortly after the last was asked for when some wait for other processes.
 */
export class BatchLoader<T> {
  private readonly asked = new Map<string, (loaded: Promise<T | undefined>) => void>();
  private readonly undecided: Set<string>;
  private readonly startedAt = performance.now();
  private patienceMs: number | undefined;
  private timer: NodeJS.Timeout | undefined;

  constructor(
    private readonly factory: (missing: string[]) => Promise<Loaded<T>>,
    private readonly keys: readonly string[],
  ) {
    this.undecided = new Set(keys);
  }

  /** Asks for a missing key; to be its factory. */
  load(key: string): Promise<T | undefined> {
    const loaded = new Promise<T | undefined>((resolve) => this.asked.set(key, resolve));
    this.decided(key);
    return loaded;
  }

  /** Says that a key has its value, whoever made it. */
  found(key: string): void {
    this.decided(key);
  }

  private decided(key: string): void {
    this.undecided.delete(key);
    if (this.asked.size === 0) return;
    this.patienceMs ??= Math.min(Math.max(performance.now() - this.startedAt, GATHER_MS.least), GATHER_MS.most);
    clearTimeout(this.timer);
    if (this.undecided.size === 0) this.run();
    else this.timer = setTimeout(() => this.run(), this.patienceMs);
  }

  private run(): void {
    clearTimeout(this.timer);
    if (this.asked.size === 0) return;
    const batch = new Map(this.asked);
    this.asked.clear();
    // In the order of the caller, whichever server answered first.
    const loaded = this.loadAll(this.keys.filter((key) => batch.has(key)));
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

export interface WarmOptions {
  /** How many keys are loaded at a time. 1 to 1000. @default 8 */
  readonly concurrency?: number;
}

const WARM_RULES = { concurrency: integer(1, 1_000) } satisfies RulesOf<WarmOptions>;

/** @throws InvalidOptionsError */
export function readConcurrency(options: WarmOptions): number {
  const faults: string[] = [];
  const { concurrency = 8 } = readOptions(options, WARM_RULES, faults);
  if (faults.length > 0) throw new InvalidOptionsError('Wrong options of warm()', faults);
  return concurrency;
}

export interface WarmReport {
  /** Keys whose factory ran. */
  readonly loaded: number;
  /** Keys that were there already; all of them when warming is switched off. */
  readonly skipped: number;
  readonly failed: readonly { readonly key: string; readonly error: Error }[];
  readonly durationMs: number;
}

/** Loads entries, at most `concurrency` at a time; `load` says whether the factory ran. */
export async function warmUp(
  entries: Iterable<WarmEntry>,
  concurrency: number,
  load: (entry: WarmEntry) => Promise<boolean>,
): Promise<WarmReport> {
  const startedAt = performance.now();
  const failed: { key: string; error: Error }[] = [];
  let [loaded, skipped] = [0, 0];
  await eachOf(entries, concurrency, async (entry) => {
    try {
      if (await load(entry)) loaded++;
      else skipped++;
    } catch (error) {
      failed.push({ key: entry.key, error: error instanceof Error ? error : new Error(String(error)) });
    }
  });
  return { loaded, skipped, failed, durationMs: Math.round(performance.now() - startedAt) };
}

/** Runs `act` for every item, at most `concurrency` at a time. */
async function eachOf<I>(items: Iterable<I>, concurrency: number, act: (item: I) => Promise<void>): Promise<void> {
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
