import type { Escalation } from './rate-limit-store.interface.ts';

/** Blocks double at most so often. */
const MAX_LEVEL = 30;

/** What one subject has done wrong, and until when it is blocked for it. Times are microseconds since the epoch. */
export class Penalty {
  #untilUs = 0;
  #lengthUs = 0;
  /** How many blocks came one after the other. */
  #level = 0;
  /** When, oldest first. */
  #violations: number[] = [];

  /** For how long from now, in milliseconds. A clock that was set back makes no block longer than it was. */
  blockedMs(nowUs: number): number {
    this.#untilUs = Math.min(this.#untilUs, nowUs + this.#lengthUs);
    return Math.max(0, Math.ceil((this.#untilUs - nowUs) / 1_000));
  }

  block(nowUs: number, ms: number): void {
    this.#lengthUs = ms * 1_000;
    this.#untilUs = nowUs + this.#lengthUs;
  }

  /** Takes note of a refused request; true when it was one too many and the subject is blocked from now on. */
  violate(nowUs: number, { after, withinMs, blockMs, maxMs }: Escalation): boolean {
    const withinUs = withinMs * 1_000;
    this.#violations = this.#violations.filter((atUs) => atUs > nowUs - withinUs && atUs <= nowUs);
    this.#violations.push(nowUs);
    if (this.#violations.length < after) return false;
    if (nowUs > this.#untilUs + withinUs) this.#level = 0;
    this.block(nowUs, Math.min(blockMs * 2 ** this.#level, maxMs));
    this.#level = Math.min(this.#level + 1, MAX_LEVEL);
    this.#violations = [];
    return true;
  }

  /** Whether nothing of it matters any more. */
  isForgotten(nowUs: number, escalation: Escalation | undefined): boolean {
    const withinUs = (escalation?.withinMs ?? 0) * 1_000;
    return Math.max(this.#untilUs, this.#violations.at(-1) ?? 0) + withinUs < nowUs;
  }
}
