import { randomUUID } from 'node:crypto';

/** What was invalidated: these keys, keys like these, or everything that carries these tags or epochs. */
export type NoticeContent =
  | { readonly keys: readonly string[] }
  | { readonly pattern: string }
  | { readonly stamps: readonly string[] }
  /** A heartbeat: every notice up to this number has been sent. When it was, only its sender can tell. */
  | { readonly told: number; readonly sentMs?: number };

/**
 * A message between processes. Notices of one `run` of a publisher are numbered, so that a receiver can tell that one
 * is missing; a run ends when it is not known whether a notice was sent.
 */
export type Notice = { readonly from: string; readonly run: number; readonly seq: number } & NoticeContent;

const MAX_NOTICE_BYTES = 1024 ** 2;

/** Numbers the notices of this process. */
export class Notices {
  readonly from: string = randomUUID();
  private run = 0;
  private seq = 0;
  private outstanding = new Set<number>();

  /** Has `act` send a notice along with what it does. */
  async send<R>(content: NoticeContent, act: (notice: string) => Promise<R>): Promise<R> {
    const { outstanding } = this;
    const seq = ++this.seq;
    outstanding.add(seq);
    try {
      return await act(this.write(content, seq));
    } catch (error) {
      if (outstanding === this.outstanding) this.restart();
      throw error;
    } finally {
      outstanding.delete(seq);
    }
  }

  /** @param sentMs by the clock of this process */
  heartbeat(sentMs = 0): string {
    let told = this.seq;
    for (const seq of this.outstanding) told = Math.min(told, seq - 1);
    return this.write({ told, sentMs }, 0);
  }

  private write(content: NoticeContent, seq: number): string {
    return JSON.stringify({ from: this.from, run: this.run, seq, ...content } satisfies Notice);
  }

  private restart(): void {
    this.run++;
    this.seq = 0;
    this.outstanding = new Set();
  }
}

/** Reads a notice; undefined for what is too long or not one: anybody can publish on a channel. */
export function readNotice(payload: Buffer): Notice | undefined {
  if (payload.length > MAX_NOTICE_BYTES) return undefined;
  try {
    const notice: unknown = JSON.parse(payload.toString());
    return isNotice(notice) ? notice : undefined;
  } catch {
    return undefined;
  }
}

function isNotice(value: unknown): value is Notice {
  if (typeof value !== 'object' || value === null) return false;
  const { from, run, seq, keys, pattern, stamps, told, sentMs } = value as Readonly<Record<string, unknown>>;
  if (typeof from !== 'string' || from.length > 64 || !isCount(run) || !isCount(seq)) return false;
  if (sentMs !== undefined && typeof sentMs !== 'number') return false;
  return isTexts(keys) || isTexts(stamps) || typeof pattern === 'string' || isCount(told);
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

const isTexts = (value: unknown): boolean => Array.isArray(value) && value.every((item) => typeof item === 'string');
