import { errorKind } from '../common/error-kind.ts';
import { isStoreFailure } from '../common/errors.ts';
import { AvailabilityListeners } from './availability.listeners.ts';
import { type ConnectionLogger, writeChange } from './availability.log.ts';
import type { AvailabilityListener, AvailabilityState, RecoveryContext } from './availability.types.ts';
import { reconnectDelayMs } from './redis.reconnect.ts';

/** What has to be done before ordinary commands are sent again. */
export type Step = (context: Pick<RecoveryContext, 'runIdChanged'>) => Promise<void>;

export interface AvailabilityParts {
  /** Names the server in log lines. */
  readonly server: string;
  readonly logger: ConnectionLogger;
  /** Resolves with the run ids of the servers when they can be used. A new one means that data may have been lost. */
  readonly probe: () => Promise<readonly string[]>;
}

/**
 * Decides whether the server can be used: `healthy → degraded → recovering → healthy`. The connection reports losses
 * and occasions to try again; a change is logged once and told once, however many commands notice it.
 *
 * A probe alone changes nothing when it fails, so a server that is slow or comes and goes does not make the state flap.
 */
export class Availability {
  /** Undefined until the first word about the server, good or bad. */
  #state: AvailabilityState | undefined;
  #since = Date.now();
  #reason = 'not connected yet';
  #lostAt: number | undefined;
  /** Counts the losses: an attempt that began before the last one proves nothing. */
  #losses = 0;
  #isTrying = false;
  /** An occasion to try again that came while an attempt was under way. */
  #hasOccasion = false;
  #failedAttempts = 0;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  /** Those of the last time it was healthy. */
  #runIds: readonly string[] | undefined;
  // Entries of their own, so that what is added twice is also removed twice.
  readonly #steps = new Set<{ readonly step: Step }>();
  readonly #listeners: AvailabilityListeners;

  constructor(private readonly parts: AvailabilityParts) {
    this.#listeners = new AvailabilityListeners(parts.server, parts.logger);
  }

  /** Whether there has been a first word. */
  get isKnown(): boolean {
    return this.#state !== undefined;
  }

  get state(): AvailabilityState {
    return this.#state ?? 'degraded';
  }

  /** When the state was entered, in milliseconds since the epoch. */
  get since(): number {
    return this.#since;
  }

  /** Why the state was entered; holds neither user nor password. */
  get reason(): string {
    return this.#reason;
  }

  /** Calls `listener` at every change from now on; the result stops it. */
  onChange(listener: AvailabilityListener): () => void {
    return this.#listeners.add(listener);
  }

  /** The result removes the step. */
  onRecovering(step: Step): () => void {
    const entry = { step };
    this.#steps.add(entry);
    return () => void this.#steps.delete(entry);
  }

  /** Resolves as soon as the server can be used. */
  whenHealthy(): Promise<void> {
    return this.state === 'healthy' ? Promise.resolve() : this.#listeners.untilHealthy();
  }

  /** The server cannot be used from now on. */
  degrade(reason: string): void {
    this.#losses += 1;
    clearTimeout(this.#retry);
    this.#change('degraded', reason);
  }

  /** There is no server yet, unless something is known about it by now. An attempt under way goes on. */
  giveUpWaiting(reason: string): void {
    if (this.#state === undefined) this.#change('degraded', reason);
  }

  /** The server may be usable again: finds out, tells it what it missed, and repeats that until it has succeeded. */
  recover(): void {
    if (this.state !== 'healthy') this.#try();
  }

  /** Another server answers in its place, which was not away: it is told what it may have missed while it is used. */
  verify(): void {
    this.#try();
  }

  /** Ends the attempts. */
  close(): void {
    this.#isClosed = true;
    this.#losses += 1;
    clearTimeout(this.#retry);
  }

  #try(): void {
    if (this.#isClosed) return;
    clearTimeout(this.#retry);
    this.#hasOccasion = true;
    if (!this.#isTrying) void this.#tryWhileAsked();
  }

  /** One attempt at a time: the steps of one that is void by now may still be ending. */
  async #tryWhileAsked(): Promise<void> {
    this.#isTrying = true;
    while (this.#hasOccasion && !this.#isClosed) {
      this.#hasOccasion = false;
      await this.#attempt();
    }
    this.#isTrying = false;
  }

  async #attempt(): Promise<void> {
    const losses = this.#losses;
    const isVoid = () => losses !== this.#losses;
    try {
      const runIds = await this.parts.probe();
      if (isVoid()) return;
      // Whatever occasions came up to now, this was the attempt they asked for.
      this.#hasOccasion = false;
      const runIdChanged = this.#mayBeAnother(runIds);
      if (this.state !== 'healthy')
        this.#change('recovering', runIdChanged ? 'it was restarted or replaced' : 'it is the same as before');
      for (const { step } of [...this.#steps]) {
        await step({ runIdChanged });
        if (isVoid()) return;
      }
      this.#succeed(runIds);
    } catch (error) {
      if (!isVoid()) this.#fail(error);
    }
  }

  /** Not at the start. A server that does not tell its run id may have been restarted. */
  #mayBeAnother(runIds: readonly string[]): boolean {
    if (this.#runIds === undefined) return false;
    return runIds.length === 0 || !runIds.every((id) => this.#runIds?.includes(id));
  }

  #succeed(runIds: readonly string[]): void {
    this.#runIds = runIds;
    this.#failedAttempts = 0;
    this.#change('healthy', this.#lostAt === undefined ? 'connected' : `after ${Date.now() - this.#lostAt} ms`);
  }

  #fail(error: unknown): void {
    this.degrade(isStoreFailure(error) ? error.message : `recovery failed: ${errorKind(error)}`);
    this.#failedAttempts += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.recover(), reconnectDelayMs(this.#failedAttempts + 1)).unref();
  }

  #change(to: AvailabilityState, reason: string): void {
    if (to === this.#state || this.#isClosed) return;
    const isFirstWord = this.#state === undefined;
    const change = { from: this.state, to, reason, since: Date.now() };
    this.#state = to;
    this.#reason = reason;
    this.#since = change.since;
    if (to === 'healthy') this.#lostAt = undefined;
    else if (to === 'degraded') this.#lostAt ??= change.since;
    // At the start there was nothing to miss.
    if (!isFirstWord || to === 'degraded') writeChange(this.parts.logger, this.parts.server, change);
    if (change.from !== to) this.#listeners.tell(change);
  }
}
