export type Availability = 'available' | 'unavailable';

/** Hears of each change once; `reason` holds neither user nor password. */
export type StateListener = (state: Availability, reason: string) => void;

/** Where the few lines of a connection go; Nest's `Logger` fits. */
export interface ConnectionLogger {
  log(message: string): void;
  warn(message: string): void;
}

export const SILENT: ConnectionLogger = { log: () => undefined, warn: () => undefined };

/** Whether the server can be asked. A change is logged once and told once, however many commands notice it. */
export class ConnectionState {
  #current: Availability | undefined;
  readonly #listeners = new Set<StateListener>();

  /** `server` names the server in log lines. */
  constructor(
    private readonly server: string,
    private readonly logger: ConnectionLogger,
  ) {}

  get isAvailable(): boolean {
    return this.#current === 'available';
  }

  /** Calls `listener` at every change from now on; the result stops it. */
  onChange(listener: StateListener): () => void {
    // A wrapper of its own, so that a listener added twice is also removed twice.
    const entry: StateListener = (state, reason) => listener(state, reason);
    this.#listeners.add(entry);
    return () => void this.#listeners.delete(entry);
  }

  /** Resolves as soon as the server can be asked. */
  whenAvailable(): Promise<void> {
    if (this.isAvailable) return Promise.resolve();
    return new Promise((resolve) => {
      const stop = this.onChange((state) => {
        if (state === 'unavailable') return;
        stop();
        resolve();
      });
    });
  }

  change(to: Availability, reason: string): void {
    if (to === this.#current) return;
    this.#current = to;
    if (to === 'available') this.logger.log(`Connected to ${this.server}`);
    else this.logger.warn(`No connection to ${this.server} (${reason}); it is tried again until it succeeds`);
    for (const listener of [...this.#listeners]) this.tell(listener, to, reason);
  }

  private tell(listener: StateListener, state: Availability, reason: string): void {
    try {
      listener(state, reason);
    } catch (error) {
      this.logger.warn(`A listener for ${this.server} failed: ${String(error)}`);
    }
  }
}
