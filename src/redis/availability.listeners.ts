import { errorKind } from '../common/error-kind.ts';
import type { ConnectionLogger } from './availability.log.ts';
import type { AvailabilityChange, AvailabilityListener } from './availability.types.ts';

/** Those who are told each change of a state. */
export class AvailabilityListeners {
  // Entries of their own, so that what is added twice is also removed twice.
  readonly #entries = new Set<{ readonly listener: AvailabilityListener }>();

  /** @param server names the server in log lines */
  constructor(
    private readonly server: string,
    private readonly logger: ConnectionLogger,
  ) {}

  /** The result removes the listener. */
  add(listener: AvailabilityListener): () => void {
    const entry = { listener };
    this.#entries.add(entry);
    return () => void this.#entries.delete(entry);
  }

  /** Resolves when it is healthy next. */
  untilHealthy(): Promise<void> {
    return new Promise((resolve) => {
      const stop = this.add(({ to }) => {
        if (to !== 'healthy') return;
        stop();
        resolve();
      });
    });
  }

  /** One that throws disturbs nobody. */
  tell(change: AvailabilityChange): void {
    for (const { listener } of [...this.#entries]) {
      try {
        listener(change);
      } catch (error) {
        this.logger.warn(`cache: a listener for ${this.server} failed: ${errorKind(error)}`);
      }
    }
  }
}
