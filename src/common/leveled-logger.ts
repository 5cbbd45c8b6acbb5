import { Logger, type LogLevel } from '@nestjs/common';

/** From the most urgent to the most talkative. */
const LEVELS: readonly LogLevel[] = ['fatal', 'error', 'warn', 'log', 'debug', 'verbose'];

/** Nest's logger, silent below a level of its own, so that this package can be quieter than the application. */
export class LeveledLogger extends Logger {
  readonly #rank: number;

  constructor(context: string, level: LogLevel) {
    super(context);
    this.#rank = LEVELS.indexOf(level);
  }

  isOn(level: LogLevel): boolean {
    return LEVELS.indexOf(level) <= this.#rank;
  }

  override warn(message: string): void {
    if (this.isOn('warn')) super.warn(message);
  }

  override log(message: string): void {
    if (this.isOn('log')) super.log(message);
  }

  override debug(message: string): void {
    if (this.isOn('debug')) super.debug(message);
  }
}
