import { AsyncLocalStorage } from 'node:async_hooks';
import { PassingMap } from './passing-map.ts';

/** How long after the last factory the async context is kept, so that busy times do not switch it on and off. */
const CONTEXT_IDLE_MS = 1_000;

/** One running computation that others may join. */
export class Flight<T = unknown> {
  /** The flight whose factory called for this one. */
  parent: Flight | undefined;
  /** Flights that this one cannot end without; most never wait for any. */
  waitsFor: Set<Flight> | undefined;
  promise!: Promise<T>;
  landed = false;

  constructor(readonly key: string) {}

  /** Whether this flight waits, directly or through others, for `other`. */
  leadsTo(other: Flight, seen = new Set<Flight>()): boolean {
    if (this === other) return true;
    if (seen.has(this)) return false;
    seen.add(this);
    for (const next of this.waitsFor ?? []) if (next.leadsTo(other, seen)) return true;
    return false;
  }
}

/**
 * Runs one computation per key at a time: callers that come while it runs share its result.
 *
 * A flight can be *forgotten*: it runs on for those who already wait, but nobody joins it any more. That is how a
 * caller that comes after an invalidation is kept from a result computed before it.
 */
export class Flights<T> {
  private readonly byKey = new PassingMap<Flight<T>>();
  /** Those that still fly: what they make may still be stored. */
  private readonly forgotten = new Set<Flight<T>>();

  get(key: string): Flight<T> | undefined {
    return this.byKey.get(key);
  }

  /** Starts a flight, in place of another one of its key; it leaves the table when it lands. */
  start(key: string, run: (flight: Flight<T>) => Promise<T>): Flight<T> {
    const flight = new Flight<T>(key);
    this.forget(key);
    this.byKey.set(key, flight);
    const land = (): void => {
      flight.landed = true;
      if (this.byKey.get(key) === flight) this.byKey.delete(key);
      else this.forgotten.delete(flight);
    };
    flight.promise = run(flight);
    flight.promise.then(land, land);
    return flight;
  }

  forget(key: string): void {
    const flight = this.byKey.get(key);
    if (flight === undefined) return;
    this.byKey.delete(key);
    this.forgotten.add(flight);
  }

  forgetMatching(matches: (key: string) => boolean): void {
    for (const [key] of this.byKey) if (matches(key)) this.forget(key);
  }

  forgetAll(): void {
    for (const [key] of this.byKey) this.forget(key);
  }

  /** Resolves when every flight of this moment has landed, whatever came of it. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.byKey.values(), ...this.forgotten].map((flight) => flight.promise));
  }
}

/**
 * Knows which factory a call comes from, so that a factory that waits for itself, directly or through others, is found
 * at once instead of hanging.
 *
 * While an `AsyncLocalStorage` is in use, every promise of the process costs about 80 ns more on Node 20 (hits
 * included), so it is used only while factories run.
 */
export class FlightContext {
  private readonly storage = new AsyncLocalStorage<Flight>();
  private running = 0;
  private idle: NodeJS.Timeout | undefined;

  /** Runs a factory as part of its flight. */
  async inside<R>(flight: Flight, run: () => R | Promise<R>): Promise<R> {
    flight.parent = this.current();
    this.running++;
    try {
      return await this.storage.run(flight, run);
    } finally {
      if (--this.running === 0) this.leaveSoon();
    }
  }

  /**
   * Waits for a flight on behalf of `from`, by default the flight whose factory is calling.
   * @throws what `reentrant` makes, when that flight would then wait for itself
   */
  wait<T>(flight: Flight<T>, reentrant: () => Error, from: Flight | undefined = this.current()): Promise<T> {
    return from === undefined ? flight.promise : this.waitFrom(from, flight, reentrant);
  }

  /** Whether the caller is, directly or through others, the factory of this key. */
  computes(key: string): boolean {
    for (let flight = this.current(); flight !== undefined; flight = flight.parent) if (flight.key === key) return true;
    return false;
  }

  /** The flight whose factory is calling; undefined when it has landed, as in work that a factory left behind. */
  current(): Flight | undefined {
    if (this.running === 0) return undefined;
    const flight = this.storage.getStore();
    return flight?.landed === true ? undefined : flight;
  }

  private async waitFrom<T>(from: Flight, flight: Flight<T>, reentrant: () => Error): Promise<T> {
    if (flight.leadsTo(from)) throw reentrant();
    const waitsFor = (from.waitsFor ??= new Set());
    waitsFor.add(flight);
    try {
      return await flight.promise;
    } finally {
      waitsFor.delete(flight);
    }
  }

  private leaveSoon(): void {
    if (this.idle !== undefined) return;
    this.idle = setTimeout(() => {
      this.idle = undefined;
      if (this.running === 0) this.storage.disable();
    }, CONTEXT_IDLE_MS);
    this.idle.unref();
  }
}
