import { groupBy } from '../common/group-by.ts';
import { nth } from '../common/nth.ts';
import type { QuotaState } from './rate-limit-store.interface.ts';
import type { ScriptCharge } from './rate-limit.script-charge.ts';

const FIGURES_PER_RECORD = 4;
const BLOCKS = ['none', 'blocked', 'imposed'] as const;

/** What the script is to do for one request. */
export interface ScriptRequest {
  readonly charge: ScriptCharge;
  /** One per quota. */
  readonly keys: readonly string[];
}

/** Several requests as the script takes them: those with the same charge stand together. */
export class ScriptCall<R extends ScriptRequest> {
  readonly keys: string[] = [];
  readonly args: (string | number)[] = [];
  readonly #groups: readonly (readonly R[])[];
  /** Where the records begin in the reply, behind all groups. */
  #recordsAt = 0;

  constructor(requests: readonly R[]) {
    this.#groups = requests.length === 1 ? [requests] : [...groupBy(requests, ({ charge }) => charge).values()];
    for (const group of this.#groups) {
      const { charge, keys: quotas } = nth(group, 0);
      this.args.push(group.length, ...charge);
      for (const { keys } of group) for (const key of keys) this.keys.push(key);
      this.#recordsAt += quotas.length * (group.length + 1);
    }
  }

  /** Tells each request what the script replied to it. */
  deal(figures: readonly number[], tell: (request: R, states: readonly QuotaState[]) => void): void {
    let at = 0;
    for (const group of this.#groups) {
      const resetsAt = at;
      const quotas = nth(group, 0).keys.length;
      for (const request of group) {
        at += quotas;
        const states: QuotaState[] = [];
        for (let i = 0; i < quotas; i++) states.push(this.#stateIn(figures, at + i, resetsAt + i));
        tell(request, states);
      }
      at += quotas;
    }
  }

  #stateIn(figures: readonly number[], at: number, resetAt: number): QuotaState {
    const figure = nth(figures, at);
    if (figure > 0) return { used: figure, resetMs: nth(figures, resetAt), retryAfterMs: 0, block: 'none' };
    const record = this.#recordsAt + (-figure - 1) * FIGURES_PER_RECORD;
    return {
      used: nth(figures, record),
      resetMs: nth(figures, record + 1),
      retryAfterMs: nth(figures, record + 2),
      block: BLOCKS[nth(figures, record + 3)] ?? 'none',
    };
  }
}
