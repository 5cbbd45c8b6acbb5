import { Injectable, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import type { RedisConnection } from '../redis/redis.connection.ts';
import type { AdminConsole } from './admin.console.ts';
import type { Strays } from './http/strays.ts';

const STATS_MS = 2_000;

/** Listens and tells while the admin API is switched on. */
@Injectable()
export class AdminLifecycle implements OnModuleInit, OnModuleDestroy {
  #timer: NodeJS.Timeout | undefined;
  #stopHearing: () => void = () => undefined;

  constructor(
    private readonly console: AdminConsole,
    private readonly connection: RedisConnection | undefined,
    private readonly strays: Strays,
  ) {}

  async onModuleInit(): Promise<void> {
    const { options, peers, feed } = this.console;
    if (!options.enabled) return;
    this.strays.behindRoutes();
    await peers.start();
    this.#timer = setInterval(() => void this.#tell(), STATS_MS).unref();
    const tellMode = ({ to, reason, since }: { to: string; reason: string; since: number }) =>
      feed.tell('mode', { mode: to, reason, since: new Date(since).toISOString() });
    this.#stopHearing = this.connection?.onStateChange(tellMode) ?? this.#stopHearing;
  }

  async onModuleDestroy(): Promise<void> {
    clearInterval(this.#timer);
    this.#stopHearing();
    this.console.breakers.stop();
    this.console.jobs.cancelAll();
    await this.console.audit.send();
    await this.console.peers.stop();
  }

  /** Only while somebody watches. */
  async #tell(): Promise<void> {
    const { feed, status, breakers } = this.console;
    if (feed.listeners === 0) return;
    const now = await status.status();
    feed.tell('stats', {
      status: now,
      stats: { scope: 'instance', window: '5m', ...status.all('5m') },
      namespaces: status.namespaces(),
      breakers: breakers.list(),
    });
  }
}
