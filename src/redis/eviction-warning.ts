import type { ConnectionLogger } from './availability.log.ts';
import type { RedisClient } from './redis.client.ts';

/** Tells once that a server throws keys away when its memory is full, which locks, limits and tags do not survive. */
export class EvictionWarning {
  #isAsked = false;

  constructor(
    private readonly server: string,
    private readonly logger: ConnectionLogger,
  ) {}

  /** Asks with INFO, which is allowed where CONFIG is not. Where neither is, nothing is said. */
  async look(node: RedisClient): Promise<void> {
    if (this.#isAsked) return;
    // Marked first: the shards of a cluster connect in the same instant.
    this.#isAsked = true;
    const info = await node.info('memory').catch(() => undefined);
    this.#isAsked = info !== undefined;
    const [, policy = 'noeviction'] = /^maxmemory_policy:([\w-]+)/m.exec(info ?? '') ?? [];
    if (policy === 'noeviction') return;
    this.logger.warn(
      `cache: ${this.server} may evict keys (maxmemory-policy ${policy}), locks, rate limits and tag versions among ` +
        'them: set maxmemory-policy to noeviction',
    );
  }
}
