import { AvailabilityListeners } from './availability.listeners.ts';
import { type ConnectionLogger, type LoggedChange, writeChange } from './availability.log.ts';
import type { AvailabilityListener, AvailabilityState } from './availability.types.ts';
import type { RedisShard } from './redis.shard.ts';
import type { Shards, SlotRange } from './redis.shards.ts';

/** What all shards together are to the operator; `Availability` is this for a server of one primary. */
export interface Whole {
  readonly state: AvailabilityState;
  readonly since: number;
  readonly reason: string;
  onChange(listener: AvailabilityListener): () => void;
  /** Resolves as soon as all of it can be used. */
  whenHealthy(): Promise<void>;
  giveUpWaiting(reason: string): void;
  close(): void;
}

export interface ClusterAvailabilityParts {
  /** Names the cluster in log lines. */
  readonly server: string;
  readonly logger: ConnectionLogger;
  readonly shards: () => Shards;
  readonly isConnected: () => boolean;
}

/** Several shards are often lost in the same instant: that is told in one line. */
const WRITE_AFTER_MS = 50;
const SHOWN_RANGES = 4;
const EVERYTHING = 'everything';
const PARTLY = 'is used for all other keys; locks and collections of those refuse unless configured otherwise';

/**
 * One state for a cluster: degraded while one of its shards is, with which keys that concerns. It decides nothing; a
 * change is told once, and logged once for each set of shards that are away.
 */
export class ClusterAvailability implements Whole {
  #state: AvailabilityState | undefined;
  #since = Date.now();
  #reason = 'not connected yet';
  #lostAt: number | undefined;
  /** What is away, as it was told in the last line. */
  #concerned = '';
  #unwritten: NodeJS.Timeout | undefined;
  #isClosed = false;
  readonly #listeners: AvailabilityListeners;

  constructor(private readonly parts: ClusterAvailabilityParts) {
    this.#listeners = new AvailabilityListeners(parts.server, parts.logger);
  }

  get state(): AvailabilityState {
    return this.#state ?? 'degraded';
  }

  get since(): number {
    return this.#since;
  }

  get reason(): string {
    return this.#reason;
  }

  onChange(listener: AvailabilityListener): () => void {
    return this.#listeners.add(listener);
  }

  whenHealthy(): Promise<void> {
    return this.state === 'healthy' ? Promise.resolve() : this.#listeners.untilHealthy();
  }

  giveUpWaiting(reason: string): void {
    if (this.#state === undefined) this.#enter('degraded', reason);
  }

  /** No node of the cluster is connected. */
  lost(reason: string): void {
    this.#enter('degraded', reason);
  }

  /** One of the shards has changed, or there are others. */
  update(): void {
    const { all } = this.parts.shards();
    // Without a connection to anybody `lost` has told why.
    if (!this.parts.isConnected() || all.length === 0) return;
    const away = all.filter(({ availability }) => availability.isKnown && availability.state === 'degraded');
    if (away.length > 0) this.#enterDegraded(away);
    else if (all.every(({ availability }) => availability.state === 'healthy')) this.#succeed();
    else if (this.#state !== undefined) this.#enter('recovering', 'it answers for all slots');
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#unwritten);
  }

  #enterDegraded(away: readonly RedisShard[]): void {
    const shards = this.parts.shards();
    const reason = away[0]?.availability.reason ?? '';
    const isPartly = away.length < shards.all.length;
    const slots = describeSlots(away.flatMap((shard) => shards.slotsOf(shard)));
    const concerned = `${away.length} of ${shards.all.length} shards away: keys in slots ${slots}`;
    if (isPartly) this.#enter('degraded', `${concerned} are answered from memory; ${reason}`, concerned);
    else this.#enter('degraded', reason);
  }

  #succeed(): void {
    this.#enter('healthy', this.#lostAt === undefined ? 'connected' : `after ${Date.now() - this.#lostAt} ms`);
  }

  /** @param concerned what is away: everything, unless told otherwise */
  #enter(to: AvailabilityState, reason: string, concerned = EVERYTHING): void {
    if (this.#isClosed || (to === this.#state && (to !== 'degraded' || reason === this.#reason))) return;
    const [from, isFirstWord, isNew] = [this.state, this.#state === undefined, to !== this.#state];
    if (isNew) this.#writeNow();
    const now = Date.now();
    this.#state = to;
    this.#reason = reason;
    if (isNew) this.#since = now;
    if (to === 'healthy') this.#lostAt = undefined;
    else if (to === 'degraded') this.#lostAt ??= now;
    if (to === 'degraded') {
      if (isNew || concerned !== this.#concerned) this.#writeLater();
      this.#concerned = concerned;
    } else if (!isFirstWord || to === 'healthy') this.#write({ to, reason, since: now });
    if (from !== to) this.#listeners.tell({ from, to, reason, since: now });
  }

  #writeLater(): void {
    this.#unwritten ??= setTimeout(() => this.#writeNow(), WRITE_AFTER_MS).unref();
  }

  #writeNow(): void {
    if (this.#unwritten === undefined) return;
    clearTimeout(this.#unwritten);
    this.#unwritten = undefined;
    this.#write({ to: 'degraded', reason: this.#reason, since: this.#since });
  }

  #write(change: LoggedChange): void {
    const { logger, server, shards } = this.parts;
    const isPartly = change.to === 'degraded' && shards().all.some(({ isAvailable }) => isAvailable);
    writeChange(logger, server, change, isPartly ? PARTLY : undefined);
  }
}

function describeSlots(ranges: readonly SlotRange[]): string {
  const shown = ranges
    .slice(0, SHOWN_RANGES)
    .map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`));
  return shown.join(', ') + (ranges.length > SHOWN_RANGES ? ' and others' : '');
}
