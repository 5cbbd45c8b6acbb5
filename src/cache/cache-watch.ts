import type { Logger } from '@nestjs/common';
import type { KeySpace } from '../common/keys.ts';
import type { KeyWatch } from '../message-bus/key-watch.interface.ts';
import type { CacheLocal } from './cache-local.ts';

export interface CacheWatchParts {
  readonly watch: KeyWatch;
  readonly keys: KeySpace;
  readonly local: CacheLocal;
  readonly logger: Pick<Logger, 'warn'>;
}

/** Beginnings of the keys whose changes concern the memory of a process: entries, tags, epochs. */
export const watchedPrefixes = (keys: KeySpace): readonly string[] => [
  keys.root,
  keys.internal('tag'),
  keys.internal('epoch'),
];

/**
 * `coherence: 'tracking'`: forgets what anybody changes on the server, with whatever client. It comes on top of what
 * processes tell each other, and where the server refuses it, that is what remains.
 */
export class CacheWatch {
  private isOn = false;

  constructor(private readonly parts: CacheWatchParts) {}

  /** All changes up to this moment are known; Infinity when nobody is listened to. */
  get heardMs(): number {
    return this.isOn ? this.parts.watch.heardMs : Infinity;
  }

  start(): void {
    const { watch, local } = this.parts;
    this.isOn = true;
    local.holdsStored = false;
    watch.start({
      onKeys: (keys) => this.forget(keys),
      onFlush: () => local.touchAll(),
      onGap: () => local.distrust(),
      onRefusal: (error) => this.goWithout(error),
    });
  }

  beat(): void {
    if (this.isOn) this.parts.watch.beat();
  }

  async stop(): Promise<void> {
    this.isOn = false;
    await this.parts.watch.close();
  }

  private forget(changed: readonly string[]): void {
    const { keys, local } = this.parts;
    const isEntry = (key: string): boolean => key.startsWith(keys.root);
    local.touch(changed.filter(isEntry));
    for (const key of changed) if (!isEntry(key)) local.touchStamp(key);
  }

  private goWithout({ message }: Error): void {
    this.isOn = false;
    this.parts.local.holdsStored = true;
    this.parts.logger.warn(
      `cache: coherence 'tracking' is not possible (${message}), 'pubsub' is used instead: what other programs write ` +
        'or remove, expiry and FLUSHALL are noticed only when cache.l1.ttl has passed. Tracking needs Redis 6 or ' +
        'Valkey, and a user that may run CLIENT ID and CLIENT TRACKING and subscribe to __redis__:invalidate',
    );
  }
}
