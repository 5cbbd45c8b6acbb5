import type { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import type { CircuitBreakerStats, CircuitChange } from '../circuit-breaker/circuit.stats.ts';
import { shownText } from '../common/shown-text.ts';
import type { AdminPeers, PeerMessage } from './admin-peers.ts';

export type BreakerState = 'closed' | 'open' | 'half-open' | 'forced-open' | 'disabled';
/** What an operator can ask for; `auto`: the breaker decides again. */
export type WantedState = 'auto' | 'forced-open' | 'disabled' | 'closed';

export interface BreakerView {
  readonly name: string;
  readonly state: BreakerState;
  readonly stats: CircuitBreakerStats['stats'];
  /** When it opened, in milliseconds since the epoch; null while it is closed. */
  readonly opensAtMs: number | null;
  /** Until a call is tried again; null unless it is open. */
  readonly nextTryMs: number | null;
  readonly config: Readonly<Record<string, unknown>>;
}

export interface BreakerEvent {
  readonly id: number;
  readonly atMs: number;
  readonly name: string;
  readonly from: BreakerState;
  readonly to: BreakerState;
  readonly reason: string;
}

export interface StateOrder {
  readonly name: string;
  readonly state: WantedState;
  /** After this long the breaker decides again. */
  readonly ttlMs?: number | undefined;
}

const STATES = { CLOSED: 'closed', OPEN: 'open', HALF_OPEN: 'half-open', ISOLATED: 'forced-open' } as const;
const KEPT_EVENTS = 500;
const ORDER = 'breaker';

/** Shows breakers, and holds them open or closed by hand, here or on all instances. */
export class BreakerDesk {
  readonly #openedAt = new Map<string, number>();
  readonly #timers = new Map<string, NodeJS.Timeout>();
  #events: BreakerEvent[] = [];
  #lastEvent = 0;

  constructor(
    private readonly circuits: CircuitBreakerService,
    private readonly peers: AdminPeers,
    private readonly onEvent: (event: BreakerEvent) => void,
  ) {
    circuits.onStateChange((change) => this.#note(change));
    peers.onMessage((message) => this.#heed(message));
  }

  list(): BreakerView[] {
    return Object.values(this.circuits.getStats()).map((stats) => this.#view(stats));
  }

  get(name: string): BreakerView | undefined {
    const stats = this.circuits.getStats()[name];
    return stats && this.#view(stats);
  }

  /** Newest first. @param before where the last page ended */
  events(name: string, before: number | undefined, limit: number): BreakerEvent[] {
    const all = this.#events.filter((event) => event.name === name && (before === undefined || event.id < before));
    return all.slice(0, limit);
  }

  /** False when no breaker has the name. */
  set(order: StateOrder): boolean {
    if (this.circuits.getStats()[order.name] === undefined) return false;
    clearTimeout(this.#timers.get(order.name));
    this.#timers.delete(order.name);
    this.#apply(order);
    if (order.ttlMs !== undefined) {
      const release = () => this.set({ name: order.name, state: 'auto' });
      this.#timers.set(order.name, setTimeout(release, order.ttlMs).unref());
    }
    return true;
  }

  /** On every instance, this one included; answers with those that have done so. */
  async setEverywhere({ name, state, ttlMs }: StateOrder): Promise<string[]> {
    const { instances } = await this.peers.tell({ kind: ORDER, name, state, ...(ttlMs !== undefined && { ttlMs }) });
    return instances;
  }

  stop(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
  }

  #apply({ name, state }: StateOrder): void {
    switch (state) {
      case 'forced-open':
        this.circuits.isolate(name);
        return;
      case 'disabled':
        this.circuits.bypass(name);
        return;
      case 'closed':
        this.circuits.close(name);
        return;
      case 'auto':
        // One that opened by itself decides by itself when to close.
        if (this.circuits.getStats()[name]?.state !== 'OPEN') this.circuits.close(name);
        return;
      default:
        state satisfies never;
    }
  }

  #heed({ kind, name, state, ttlMs }: PeerMessage): void {
    if (kind !== ORDER || typeof name !== 'string' || !isWanted(state)) return;
    this.set({ name, state, ttlMs: typeof ttlMs === 'number' ? ttlMs : undefined });
  }

  #note({ name, from, to, reason }: CircuitChange): void {
    const atMs = Date.now();
    if (to === 'CLOSED') this.#openedAt.delete(name);
    else if (!this.#openedAt.has(name)) this.#openedAt.set(name, atMs);
    const id = ++this.#lastEvent;
    const event = { id, atMs, name, from: STATES[from], to: STATES[to], reason: shownText(reason) };
    this.#events = [event, ...this.#events].slice(0, KEPT_EVENTS);
    this.onEvent(event);
  }

  #view({ name, state, isBypassed, stats, nextTryAt, config }: CircuitBreakerStats): BreakerView {
    return {
      name,
      state: isBypassed ? 'disabled' : STATES[state],
      stats,
      opensAtMs: this.#openedAt.get(name) ?? null,
      nextTryMs: nextTryAt === null ? null : Math.max(0, nextTryAt - Date.now()),
      config: { ...config },
    };
  }
}

export const WANTED_STATES = ['auto', 'forced-open', 'disabled', 'closed'] as const satisfies readonly WantedState[];

const isWanted = (state: unknown): state is WantedState => WANTED_STATES.some((wanted) => wanted === state);
