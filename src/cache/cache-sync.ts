import { isStoreFailure } from '../common/errors.ts';
import { globMatcher } from '../common/glob.ts';
import type { MessageBus } from '../message-bus/message-bus.interface.ts';
import { NoticeLogs } from './cache-coherence.ts';
import { decodeEntry } from './cache-entry.ts';
import type { CacheLocal } from './cache-local.ts';
import type { CacheWatch } from './cache-watch.ts';
import { readNotice, type Notice, type Notices } from './cache-notices.ts';
import type { CacheWaiters } from './cache-waiters.ts';
import type { CacheChannels } from './redis-cache.store.ts';

const HEARTBEAT_MS = 500;
/** Without an own heartbeat for this long, notices may be missing: memory is not trusted. */
const SILENCE_MS = 1_500;
/** After this long a connection that delivers nothing is given up for a new one. */
const DEAF_MS = 3_000;
const LENGTH_DIGITS = 6;

export interface CacheSyncParts {
  readonly bus: MessageBus;
  readonly channels: CacheChannels;
  readonly local: CacheLocal;
  readonly waiters: CacheWaiters;
  readonly notices: Notices;
  /** Tells of what anybody changes on the server, where that is wanted. */
  readonly watch?: CacheWatch | undefined;
}

/**
 * Hears what other processes did, and proves that it hears: an own heartbeat has to come back over the channel that
 * carries the notices, and the notices of each publisher are counted. A connection that looks alive and delivers
 * nothing, a gap and a resubscription are all the same: what is held in memory is compared with the server again.
 *
 * A message can only make this process look again; nothing that anybody sends is ever served.
 */
export class CacheSync {
  private readonly logs = new NoticeLogs();
  private ends: (() => Promise<void>)[] = [];
  private stopHearing = (): void => undefined;
  private timer: NodeJS.Timeout | undefined;
  private lastBeatMs = performance.now();
  private restartedMs = 0;

  constructor(private readonly parts: CacheSyncParts) {}

  async start(): Promise<void> {
    const { bus, channels, local } = this.parts;
    local.distrust();
    this.stopHearing = bus.onReconnect(() => local.distrust());
    this.ends = await Promise.all([
      bus.subscribe(channels.notice, (payload) => this.heed(payload)),
      bus.subscribe(channels.wake, (payload) => this.wake(payload)),
    ]);
    this.parts.watch?.start();
    this.timer = setInterval(() => this.tick(), HEARTBEAT_MS).unref();
    this.tick();
  }

  async stop(): Promise<void> {
    clearInterval(this.timer);
    this.stopHearing();
    await Promise.all([this.parts.watch?.stop(), ...this.ends.map((end) => end())]);
    this.ends = [];
  }

  private tick(): void {
    const { bus, local, watch } = this.parts;
    const now = performance.now();
    if (local.isTrusted && now - this.heardMs > SILENCE_MS) local.distrust();
    if (now - Math.max(this.lastBeatMs, this.restartedMs) > DEAF_MS) {
      this.restartedMs = now;
      bus.restart();
    }
    watch?.beat();
    this.beat(now);
  }

  private beat(now: number): void {
    const { bus, channels, notices } = this.parts;
    bus.publish(channels.notice, notices.heartbeat(now)).catch((error: unknown) => {
      // Silence is the answer to it.
      if (!isStoreFailure(error)) throw error;
    });
  }

  /** Everything that was told before this moment has arrived. */
  private get heardMs(): number {
    return Math.min(this.lastBeatMs, this.parts.watch?.heardMs ?? Infinity);
  }

  /** The own heartbeat came back: what was told before it was sent has arrived, however long it took. */
  private trust(sentMs: number): void {
    const { local } = this.parts;
    const now = performance.now();
    this.lastBeatMs = Math.min(Math.max(this.lastBeatMs, sentMs), now);
    const trustedMs = this.heardMs + SILENCE_MS - now;
    if (trustedMs <= 0) return;
    if (!local.isTrusted) {
      this.logs.forget();
      local.trust();
    }
    // Not while the server is away: this one was under way before.
    if (local.isTrusted) local.tier.trustFor(trustedMs);
  }

  private heed(payload: Buffer): void {
    const notice = readNotice(payload);
    if (notice === undefined) return;
    if (notice.from === this.parts.notices.from) {
      if ('told' in notice) this.trust(notice.sentMs ?? -Infinity);
      return;
    }
    if (!this.logs.accept(notice, performance.now())) this.parts.local.trust();
    this.forget(notice);
  }

  private forget(notice: Notice): void {
    const { local, waiters } = this.parts;
    if ('keys' in notice) {
      local.forget(notice.keys);
      for (const key of notice.keys) waiters.wake(key);
    } else if ('pattern' in notice) {
      const matches = globMatcher(notice.pattern);
      void local.forgetMatching(matches);
      waiters.wakeMatching(matches);
    } else if ('stamps' in notice) {
      local.forgetStamps(notice.stamps);
    }
  }

  /** `length of the key (6 digits) · key · entry, or nothing when it was too large to send`. */
  private wake(payload: Buffer): void {
    const keyEnd = LENGTH_DIGITS + Number(payload.toString('latin1', 0, LENGTH_DIGITS));
    if (!(keyEnd <= payload.length)) return;
    const found = decodeEntry(payload.subarray(keyEnd));
    const key = payload.toString('utf8', LENGTH_DIGITS, keyEnd);
    this.parts.waiters.wake(key, found.kind === 'entry' ? found.entry : undefined);
  }
}
