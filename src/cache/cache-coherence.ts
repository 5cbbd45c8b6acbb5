import type { Notice } from './cache-notices.ts';

/** A publisher that is silent for longer is forgotten; it is new again when it speaks. */
const FORGET_AFTER_MS = 60_000;
/** How far ahead of a missing notice others may arrive before the missing one counts as lost. */
const MAX_AHEAD = 10_000;

/** What has been heard of one run of a publisher. */
interface Log {
  readonly run: number;
  /** Every notice up to this number has arrived. */
  heard: number;
  /** Those that arrived before an earlier one: scripts of one turn may overtake each other. */
  readonly ahead: Set<number>;
  lastMs: number;
}

/** Tells from the numbers of notices whether one of them is missing. */
export class NoticeLogs {
  private readonly logs = new Map<string, Log>();

  /** Takes note of a notice or heartbeat; false when an earlier one must have been missed. */
  accept(notice: Notice, nowMs: number): boolean {
    const log = this.logs.get(notice.from);
    if (log?.run !== notice.run) return this.begin(notice, nowMs, log === undefined);
    log.lastMs = nowMs;
    if (!('told' in notice)) return this.arrive(log, notice.seq);
    if (notice.told <= log.heard) return true;
    this.logs.set(notice.from, fresh(notice, notice.told, nowMs));
    return false;
  }

  forget(): void {
    this.logs.clear();
  }

  private arrive(log: Log, seq: number): boolean {
    if (seq > log.heard) log.ahead.add(seq);
    while (log.ahead.delete(log.heard + 1)) log.heard++;
    return log.ahead.size <= MAX_AHEAD;
  }

  /**
   * The first word of a publisher, or of a new run of it. A new process that begins at its first notice has told
   * nothing before; otherwise something may have been said that nobody here has heard.
   */
  private begin(notice: Notice, nowMs: number, isUnknown: boolean): boolean {
    this.prune(nowMs);
    const heard = 'told' in notice ? notice.told : notice.seq;
    this.logs.set(notice.from, fresh(notice, heard, nowMs));
    return isUnknown && ('told' in notice ? notice.told === 0 : notice.seq === 1);
  }

  private prune(nowMs: number): void {
    for (const [from, { lastMs }] of this.logs) if (nowMs - lastMs > FORGET_AFTER_MS) this.logs.delete(from);
  }
}

const fresh = ({ run }: Notice, heard: number, lastMs: number): Log => ({ run, heard, ahead: new Set(), lastMs });
