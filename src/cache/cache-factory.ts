import { toMs, type Duration } from '../common/duration.ts';
import { FactoryTimeoutError } from '../common/errors.ts';
import { checkedTags } from './get-or-set.options.ts';
import type { ResolvedReadOptions } from './read-options.resolver.ts';

/** What a factory is told, and what it can say about the value it makes. */
export interface FactoryContext<T = unknown> {
  /** The key as the caller wrote it. */
  readonly key: string;
  /** Aborts at the hard timeout. */
  readonly signal: AbortSignal;
  /** The value that is being replaced, while it is kept in grace. */
  readonly staleValue?: T;
  /** Another time to live for this value: seconds, or a duration. 0 does not store it. */
  setTtl(ttl: number | Duration): void;
  /** More tags for this value. */
  setTags(tags: readonly string[]): void;
  /** Returns the value without storing it. */
  skip(): void;
  /** Keeps the stale value and makes it fresh again; to be returned: `return context.notModified()`. */
  notModified(): T;
  /** Falls back to the stale value without throwing; to be returned. Without a stale value the call fails. */
  fail(reason: string): T;
}

export type Factory<T> = (context: FactoryContext<T>) => T | Promise<T>;

/** What came of running a factory. */
export type Produced<T> =
  | {
      readonly kind: 'value';
      readonly value: T;
      readonly ttlMs: number;
      /** Beyond the static tags of the options. */
      readonly tags: readonly string[];
      readonly costMs: number;
      /** Whether the value may be stored, as far as the factory and the options say. */
      readonly isStorable: boolean;
    }
  | { readonly kind: 'unchanged'; readonly ttlMs: number }
  | { readonly kind: 'failed'; readonly error: unknown };

export interface FactoryOrder<T> {
  readonly name: string;
  readonly options: ResolvedReadOptions;
  readonly factory: Factory<T>;
  readonly stale: { readonly value: T } | undefined;
}

/** Runs a factory under its hard timeout. Never rejects: a failure is one of the outcomes. */
export async function produce<T>(order: FactoryOrder<T>): Promise<Produced<T>> {
  const context = new OpenContext<T>(order.name, order.stale);
  const startedAt = performance.now();
  try {
    const value = await withHardTimeout(order, context);
    return context.outcome(value, order.options, performance.now() - startedAt);
  } catch (error) {
    return { kind: 'failed', error };
  }
}

async function withHardTimeout<T>({ factory, name, options }: FactoryOrder<T>, context: OpenContext<T>): Promise<T> {
  const timeoutMs = options.hardTimeoutMs;
  if (timeoutMs === undefined) return factory(context);
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      const error = new FactoryTimeoutError(name, timeoutMs);
      context.abort(error);
      reject(error);
    }, timeoutMs);
  });
  try {
    return await Promise.race([factory(context), timeout]);
  } finally {
    clearTimeout(timer);
  }
}

class OpenContext<T> implements FactoryContext<T> {
  readonly staleValue?: T;
  private readonly hasStale: boolean;
  private controller: AbortController | undefined;
  private ttlMs: number | undefined;
  private tags: readonly string[] = [];
  private skipped = false;
  private verdict: { readonly kind: 'unchanged' } | { readonly kind: 'failed'; readonly error: Error } | undefined;

  constructor(
    readonly key: string,
    stale: { readonly value: T } | undefined,
  ) {
    this.hasStale = stale !== undefined;
    if (stale !== undefined) this.staleValue = stale.value;
  }

  /** Made on demand: most factories never look. */
  get signal(): AbortSignal {
    return (this.controller ??= new AbortController()).signal;
  }

  abort(reason: Error): void {
    (this.controller ??= new AbortController()).abort(reason);
  }

  setTtl(ttl: number | Duration): void {
    this.ttlMs = toMs(ttl, 's');
  }

  setTags(tags: readonly string[]): void {
    this.tags = checkedTags(tags);
  }

  skip(): void {
    this.skipped = true;
  }

  notModified(): T {
    if (!this.hasStale) throw new Error(`notModified() of "${this.key}": there is no stale value to keep`);
    this.verdict = { kind: 'unchanged' };
    return this.staleValue as T;
  }

  fail(reason: string): T {
    this.verdict = { kind: 'failed', error: new Error(reason) };
    return this.staleValue as T;
  }

  outcome(value: T, options: ResolvedReadOptions, costMs: number): Produced<T> {
    const ttlMs = jittered(this.ttlMs ?? options.ttlMs, options.jitter);
    if (this.verdict?.kind === 'failed') return this.verdict;
    if (this.verdict?.kind === 'unchanged') return { kind: 'unchanged', ttlMs };
    const tags =
      options.tagsOf === undefined ? this.tags : [...this.tags, ...checkedTags(options.tagsOf(value as never))];
    const isEmpty = value === undefined || (value === null && !options.cacheNull);
    return { kind: 'value', value, ttlMs, tags, costMs, isStorable: !isEmpty && !this.skipped && ttlMs > 0 };
  }
}

/** Takes a random part off, never adds: no entry outlives the TTL that was asked for. */
const jittered = (ttlMs: number, share: number): number => Math.ceil(ttlMs * (1 - Math.random() * share));
