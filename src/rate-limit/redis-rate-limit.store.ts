import { nth } from '../common/nth.ts';
import { groupBy } from '../common/group-by.ts';
import type { KeySpace } from '../common/keys.ts';
import type { RedisDoor, Shard } from '../redis/availability.types.ts';
import type { Charge, Quota, QuotaState, Restoration, SharedRateLimitStore } from './rate-limit-store.interface.ts';
import { RateLimitBatcher } from './rate-limit.batcher.ts';
import { CountKeys } from './rate-limit.keys.ts';
import {
  blockCharge,
  lookCharge,
  refundCharge,
  restoreCharge,
  type ScriptCharge,
  spendCharge,
} from './rate-limit.script-charge.ts';

/** One script call may not keep the server busy for too long. */
const RESTORED_AT_ONCE = 100;

/** Counts on the server, shared by every process: one script call decides, by the server's clock. */
export class RedisRateLimitStore implements SharedRateLimitStore {
  readonly #keys: CountKeys;
  readonly #batcher: RateLimitBatcher;
  readonly #door: RedisDoor;
  readonly #recovery: RateLimitBatcher;

  /** @param duringRecovery what is open before `door` is, for `restore` */
  constructor(keys: KeySpace, door: RedisDoor, duringRecovery: RedisDoor = door) {
    this.#keys = new CountKeys(keys);
    this.#door = door;
    this.#batcher = new RateLimitBatcher(door);
    this.#recovery = new RateLimitBatcher(duringRecovery);
  }

  isAvailable(quotas: readonly Quota[], subjects: readonly string[]): boolean {
    if (this.#door.isOneNode) return this.#door.isAvailable;
    return quotas.every((quota, at) => this.#door.shardOf(this.#keys.of(quota, nth(subjects, at)))?.isAvailable);
  }

  /** Whether the count is kept on that shard. */
  isOn(shard: Shard, quota: Quota, subject: string): boolean {
    return shard.holds(this.#keys.of(quota, subject));
  }

  /** Not `async`: this is the path of every call, and each promise on it is waited for. */
  spend(charge: Charge, subjects: readonly string[]): Promise<readonly QuotaState[]> {
    const slot = slotOf(subjects);
    const apart = slot === undefined ? () => this.#spendApart(charge, subjects) : undefined;
    if (apart !== undefined && !this.#batcher.takesSeveralSlots) return apart();
    const keys = this.#keysOf(charge.quotas, subjects);
    return this.#batcher.ask({ charge: spendCharge(charge), keys, slot, apart });
  }

  async look(charge: Charge, subjects: readonly string[]): Promise<readonly QuotaState[]> {
    const parts = partsOf(charge, subjects);
    const states = await Promise.all(
      parts.map((part) => this.#ask(lookCharge(part.charge), part.charge.quotas, part.subjects)),
    );
    return inOrder(parts, states);
  }

  async refund(quota: Quota, subject: string, units: number): Promise<void> {
    await this.#ask(refundCharge([quota], units), [quota], [subject]);
  }

  async block(quota: Quota, subject: string, ms: number): Promise<void> {
    await this.#ask(blockCharge(quota, ms), [quota], [subject]);
  }

  async reset(quota: Quota, subject: string): Promise<void> {
    const key = this.#keys.of(quota, subject);
    await this.#door.execute('rateLimit.reset', (client) => client.del(key), key);
  }

  async restore(restorations: readonly Restoration[]): Promise<void> {
    for (let at = 0; at < restorations.length; at += RESTORED_AT_ONCE) {
      const chunk = restorations.slice(at, at + RESTORED_AT_ONCE);
      await Promise.all(
        chunk.map(({ quota, subject, ...seen }) =>
          this.#ask(restoreCharge({ quota, subject, ...seen }), [quota], [subject], this.#recovery),
        ),
      );
    }
  }

  /**
   * Where the subjects live on different nodes no script sees them all. Each part is asked on its own, and what was
   * charged is given back when another part refused: for a moment others may be refused in vain, nobody is admitted.
   */
  async #spendApart(charge: Charge, subjects: readonly string[]): Promise<readonly QuotaState[]> {
    const parts = partsOf(charge, subjects);
    const states = await Promise.all(parts.map((part) => this.spend(part.charge, part.subjects)));
    const isRefused = (at: number) =>
      states[at]?.some(({ retryAfterMs }, i) => retryAfterMs > 0 && !parts[at]?.charge.quotas[i]?.isShadow) ?? false;
    const charged = parts.map((_, at) => at).filter((at) => !isRefused(at));
    if (charged.length === parts.length || charge.consumesOnReject) return inOrder(parts, states);
    const refunded = await Promise.all(charged.map((at) => this.#refundPart(nth(parts, at), nth(states, at))));
    return inOrder(parts, states.map((own, at) => refunded[charged.indexOf(at)] ?? own)); // prettier-ignore
  }

  #refundPart({ charge, subjects }: Part, states: readonly QuotaState[]): Promise<QuotaState[]> {
    return Promise.all(
      states.map(async (state, at) => {
        if (state.retryAfterMs > 0) return state;
        const cost = nth(charge.costs, at);
        await this.refund(nth(charge.quotas, at), nth(subjects, at), cost);
        return { ...state, used: state.used - cost };
      }),
    );
  }

  /** For quotas of one subject. */
  #ask(
    charge: ScriptCharge,
    quotas: readonly Quota[],
    subjects: readonly string[],
    batcher = this.#batcher,
  ): Promise<readonly QuotaState[]> {
    return batcher.ask({ charge, keys: this.#keysOf(quotas, subjects), slot: subjects[0] });
  }

  #keysOf(quotas: readonly Quota[], subjects: readonly string[]): string[] {
    const keys: string[] = [];
    for (let at = 0; at < quotas.length; at++) keys.push(this.#keys.of(nth(quotas, at), nth(subjects, at)));
    return keys;
  }
}

/** The quotas of one subject, which are counted in one place. */
interface Part {
  readonly charge: Charge;
  readonly subjects: readonly string[];
  /** Where they stand in the whole request. */
  readonly positions: readonly number[];
}

function partsOf(charge: Charge, subjects: readonly string[]): Part[] {
  const positions = groupBy(subjects.keys(), (at) => nth(subjects, at));
  return [...positions.values()].map((own) => ({
    charge:
      own.length === subjects.length
        ? charge
        : { ...charge, quotas: own.map((at) => nth(charge.quotas, at)), costs: own.map((at) => nth(charge.costs, at)) },
    subjects: own.map((at) => nth(subjects, at)),
    positions: own,
  }));
}

function inOrder(parts: readonly Part[], states: readonly (readonly QuotaState[])[]): QuotaState[] {
  const all: QuotaState[] = [];
  parts.forEach(({ positions }, part) => positions.forEach((at, i) => (all[at] = nth(nth(states, part), i))));
  return all;
}

/** The subject, if all are the same: its counts are in one slot. */
function slotOf(subjects: readonly string[]): string | undefined {
  const first = subjects[0];
  return subjects.length === 1 || subjects.every((subject) => subject === first) ? first : undefined;
}
