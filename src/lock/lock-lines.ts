import type { Held, Lease } from './lock-lease.ts';
import { type LineHost, LockLine } from './lock-line.ts';
import type { LockRequest } from './lock-request.ts';
import type { Awaitable, LockStore } from './lock-store.interface.ts';
import type { LockWaiter } from './lock-waiter.ts';

/** Everybody in this process who wants or holds a lease of one store, by key. */
export class LockLines implements LineHost {
  readonly #lines = new Map<string, LockLine>();
  readonly #asking = new Map<string, LockWaiter>();
  #listening: Promise<void> | undefined;
  #isListening = false;

  constructor(readonly store: LockStore) {}

  get isListening(): boolean {
    return this.#isListening;
  }

  /** Callers that wait for their turn. */
  get waiters(): number {
    let waiters = 0;
    for (const line of this.#lines.values()) waiters += line.length;
    return waiters;
  }

  /** Asks until the lease is granted or the wait is over, at least once; rejects with the signal's reason on abort. */
  acquire(key: string, request: LockRequest): Promise<Lease | Held> {
    request.signal?.throwIfAborted();
    return this.#lineOf(key).acquire(request);
  }

  /** False when the token held nothing. @throws StoreUnavailableError, OutcomeUnknownError */
  release(key: string, token: string): Awaitable<boolean> {
    return this.#lineOf(key).release(token);
  }

  /** The holder of a lease will not give it back. */
  forget({ key, token }: Lease): void {
    this.#lines.get(key)?.forget(token);
  }

  /** Callers here that wait for a key without the store knowing of them. */
  untoldOf(key: string): number {
    return this.#lines.get(key)?.untold ?? 0;
  }

  /** Ends all waits. */
  close(error: unknown): void {
    for (const line of [...this.#lines.values()]) line.failAll(error);
  }

  async listen(): Promise<void> {
    await (this.#listening ??= this.#subscribe());
  }

  enter(waiter: LockWaiter): void {
    this.#asking.set(waiter.claim.token, waiter);
  }

  leave(waiter: LockWaiter): void {
    this.#asking.delete(waiter.claim.token);
  }

  retire(line: LockLine): void {
    if (this.#lines.get(line.key) === line) this.#lines.delete(line.key);
  }

  async #subscribe(): Promise<void> {
    try {
      await this.store.listen((token) => this.#wake(token));
      this.#isListening = true;
      // What was said before we could hear it is asked for.
      this.#wake();
    } catch {
      // Those who wait look for themselves, and the next one tries again.
      this.#listening = undefined;
    }
  }

  #lineOf(key: string): LockLine {
    const known = this.#lines.get(key);
    if (known !== undefined) return known;
    const line = new LockLine(key, this);
    this.#lines.set(key, line);
    return line;
  }

  #wake(token?: string): void {
    if (token !== undefined) this.#asking.get(token)?.wake();
    else for (const waiter of this.#asking.values()) waiter.wake();
  }
}
