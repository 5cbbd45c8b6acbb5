import type { MessageBus } from '../message-bus/message-bus.interface.ts';
import type { SharedLimits } from './shared-limits.ts';

/**
 * Tells the other processes of one application that a count was changed by hand, so that a refusal they remember does
 * not outlive it. A notice that is lost costs no more than that: the refusal ends when it would have ended anyway.
 */
export class LimitNotices {
  constructor(
    private readonly bus: MessageBus,
    private readonly channel: string,
  ) {}

  send(quotaId: string, subject: string): void {
    this.bus.publish(this.channel, JSON.stringify([quotaId, subject])).catch(() => undefined);
  }

  /** Resolves when notices arrive, or will as soon as the server is there. */
  async follow(limits: Pick<SharedLimits, 'forget'>): Promise<void> {
    await this.bus.subscribe(this.channel, (payload) => {
      const [quotaId, subject] = JSON.parse(payload.toString()) as unknown[];
      if (typeof quotaId === 'string' && typeof subject === 'string') limits.forget(quotaId, subject);
    });
  }
}
