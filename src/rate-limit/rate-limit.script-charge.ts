import type { Algorithm, Charge, Quota, Restoration } from './rate-limit-store.interface.ts';
import type { ScriptCharge } from './rate-limit.batcher.ts';

const ALGORITHMS: Readonly<Record<Algorithm, number>> = { sliding: 1, fixed: 2, gcra: 3 };
const ACTS = { look: 0, spend: 1, spendAnyway: 2, refund: 3, block: 4, restore: 5 } as const;

/** The charges of a policy are usually the same object: its arguments are then, too. */
const spending = new WeakMap<Charge, ScriptCharge>();

export function spendCharge(charge: Charge): ScriptCharge {
  const known = spending.get(charge);
  if (known !== undefined) return known;
  const act = charge.consumesOnReject ? ACTS.spendAnyway : ACTS.spend;
  const args = chargeOf(act, charge.quotas, { costs: charge.costs });
  spending.set(charge, args);
  return args;
}

export const lookCharge = ({ quotas, costs }: Charge): ScriptCharge => chargeOf(ACTS.look, quotas, { costs });

export const refundCharge = (quotas: readonly Quota[], units: number): ScriptCharge =>
  chargeOf(ACTS.refund, quotas, { amounts: [units, 0, 0] });

export const blockCharge = (quota: Quota, ms: number): ScriptCharge =>
  chargeOf(ACTS.block, [quota], { amounts: [ms * 1_000, 0, 0] });

export const restoreCharge = ({ quota, known, knownAgoMs, added }: Restoration): ScriptCharge =>
  chargeOf(ACTS.restore, [quota], { amounts: [known, Math.round(knownAgoMs * 1_000), added] });

interface Amounts {
  /** Of each quota. */
  readonly costs?: readonly number[];
  /** Of what is not decided but done: units or µs, how long ago (µs), units beside them. */
  readonly amounts?: readonly number[];
}

function chargeOf(act: number, quotas: readonly Quota[], { costs = [], amounts = [] }: Amounts): ScriptCharge {
  const charge = [act, quotas.length, ...amounts, ...quotas.flatMap((quota, at) => argumentsOf(quota, costs[at] ?? 0))];
  return [charge.length, ...charge];
}

/** A quota in shadow has the complement of its `after`, which is negative. */
function argumentsOf({ algorithm, capacity, stepUs, isShadow, escalation }: Quota, cost: number): number[] {
  const after = escalation?.after ?? 0;
  const args = [ALGORITHMS[algorithm], capacity, stepUs, isShadow ? ~after : after, cost];
  if (escalation === undefined) return args;
  return [...args, ...[escalation.withinMs, escalation.blockMs, escalation.maxMs].map((ms) => ms * 1_000)];
}
