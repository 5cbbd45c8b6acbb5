import type { Duration } from '../common/duration.ts';
import type { Lock, LockHandle } from './lock.handle.ts';

/** The locks of several resources, all or nothing, as one. They share a token and a fence; one lost is all lost. */
export class LockBundle implements Lock {
  readonly #handles: readonly [LockHandle, ...LockHandle[]];
  #signal: AbortSignal | undefined;

  constructor(
    readonly resource: string,
    handles: readonly [LockHandle, ...LockHandle[]],
  ) {
    this.#handles = handles;
  }

  get token(): string {
    return this.#handles[0].token;
  }

  get fence(): number {
    return this.#handles[0].fence;
  }

  get expiresAt(): number {
    return Math.min(...this.#handles.map(({ expiresAt }) => expiresAt));
  }

  get degraded(): boolean {
    return this.#handles.some(({ degraded }) => degraded);
  }

  /** Whether one of them was lost before it was given back. */
  get wasLost(): boolean {
    return this.#handles.some(({ wasLost }) => wasLost);
  }

  get signal(): AbortSignal {
    return (this.#signal ??= AbortSignal.any(this.#handles.map(({ signal }) => signal)));
  }

  async extend(ttl?: Duration): Promise<void> {
    await Promise.all(this.#handles.map((handle) => handle.extend(ttl)));
  }

  /** Those taken last are given back first. */
  async release(): Promise<boolean> {
    const released = await Promise.all(this.#handles.toReversed().map((handle) => handle.release()));
    return released.every(Boolean);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.release();
  }
}
