import { randomUUID } from 'node:crypto';
import { globMatcher } from '../common/glob.ts';
import type { MessageBus } from '../message-bus/message-bus.interface.ts';
import { decodeEntry } from './cache-entry.ts';
import type { CacheFlights } from './cache-flights.ts';
import type { CacheWaiters } from './cache-waiters.ts';
import type { CacheChannels } from './redis-cache.store.ts';

/** What a process tells the others: these keys, keys like these, or everything that carries these stamps. */
type Notice =
  | { readonly from: string; readonly keys: readonly string[] }
  | { readonly from: string; readonly pattern: string }
  | { readonly from: string; readonly stamps: readonly string[] };

const MAX_NOTICE_BYTES = 1024 ** 2;
const LENGTH_DIGITS = 6;

/** Writes the notices of this process. */
export class Notices {
  /** Tells the notices of this process from those of others. */
  readonly from: string = randomUUID();

  keys(keys: readonly string[]): string {
    return this.write({ from: this.from, keys });
  }

  pattern(pattern: string): string {
    return this.write({ from: this.from, pattern });
  }

  stamps(stamps: readonly string[]): string {
    return this.write({ from: this.from, stamps });
  }

  private write(notice: Notice): string {
    return JSON.stringify(notice);
  }
}

/** Reads a notice; undefined for what is too long or not one: anybody can publish on a channel. */
export function readNotice(payload: Buffer): Notice | undefined {
  if (payload.length > MAX_NOTICE_BYTES) return undefined;
  try {
    const notice = JSON.parse(payload.toString()) as Partial<Record<'from' | 'keys' | 'pattern' | 'stamps', unknown>>;
    if (typeof notice.from !== 'string') return undefined;
    const isOne = isTexts(notice.keys) || isTexts(notice.stamps) || typeof notice.pattern === 'string';
    return isOne ? (notice as Notice) : undefined;
  } catch {
    return undefined;
  }
}

const isTexts = (value: unknown): value is readonly string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string');

export interface CacheSyncParts {
  readonly bus: MessageBus;
  readonly channels: CacheChannels;
  readonly flights: CacheFlights;
  readonly waiters: CacheWaiters;
  readonly notices: Notices;
}

/**
 * Hears what other processes did. A message can only make this process look again: nothing that is under way here may
 * be joined after an invalidation elsewhere, and whoever waits for a key is woken.
 */
export class CacheSync {
  private ends: (() => Promise<void>)[] = [];

  constructor(private readonly parts: CacheSyncParts) {}

  async start(): Promise<void> {
    const { bus, channels } = this.parts;
    this.ends = await Promise.all([
      bus.subscribe(channels.notice, (payload) => this.heed(payload)),
      bus.subscribe(channels.wake, (payload) => this.wake(payload)),
    ]);
  }

  async stop(): Promise<void> {
    await Promise.all(this.ends.map((end) => end()));
    this.ends = [];
  }

  private heed(payload: Buffer): void {
    const { flights, waiters, notices } = this.parts;
    const notice = readNotice(payload);
    if (notice === undefined || notice.from === notices.from) return;
    if ('keys' in notice) {
      flights.forget(notice.keys);
      for (const key of notice.keys) waiters.wake(key);
    } else if ('pattern' in notice) {
      const matches = globMatcher(notice.pattern);
      flights.forgetMatching(matches);
      waiters.wakeMatching(matches);
    } else {
      flights.forgetAll();
    }
  }

  /** `length of the key (6 digits) · key · entry, or nothing when it was too large to send`. */
  private wake(payload: Buffer): void {
    const keyEnd = LENGTH_DIGITS + Number(payload.toString('latin1', 0, LENGTH_DIGITS));
    if (!(keyEnd <= payload.length)) return;
    const found = decodeEntry(payload.subarray(keyEnd));
    this.parts.waiters.wake(
      payload.toString('utf8', LENGTH_DIGITS, keyEnd),
      found.kind === 'entry' ? found.entry : undefined,
    );
  }
}
