import type { AvailabilityChange, AvailabilityState } from './availability.types.ts';

/** Where the few lines of a connection go; Nest's `Logger` fits. */
export interface ConnectionLogger {
  log(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

export const SILENT: ConnectionLogger = { log: () => undefined, warn: () => undefined, error: () => undefined };

const MEANINGS: Readonly<Record<AvailabilityState, string>> = {
  healthy: 'is used',
  recovering: 'answers again and is told what it missed',
  degraded:
    'cannot be used: reads are answered from memory and factories, invalidations are journaled, locks and collections ' +
    'refuse unless configured otherwise',
};

export type LoggedChange = Pick<AvailabilityChange, 'to' | 'reason' | 'since'>;

/** A change of the availability and what it means for the application, in one line. `server` holds no secret. */
export function writeChange(
  logger: ConnectionLogger,
  server: string,
  { to, reason, since }: LoggedChange,
  meaning = MEANINGS[to],
): void {
  const line = `cache: ${to} since ${new Date(since).toISOString()} (${reason}): ${server} ${meaning}`;
  if (to === 'degraded') logger.warn(line);
  else logger.log(line);
}

/** A password that is refused stays so until somebody acts: said again from time to time, not at each attempt. */
const REPEAT_AFTER_MS = 30_000;

/** Tells that the server does not accept our credentials, at most every 30 seconds, and never what they are. */
export class CredentialAlarm {
  #lastMs = -Infinity;

  constructor(
    private readonly server: string,
    private readonly logger: ConnectionLogger,
  ) {}

  /** @param code first word of the server's answer */
  sound(code: string): void {
    const now = performance.now();
    if (now - this.#lastMs < REPEAT_AFTER_MS) return;
    this.#lastMs = now;
    this.logger.error(`cache: ${this.server} does not accept our user or password (${code}): check the configuration`);
  }
}
