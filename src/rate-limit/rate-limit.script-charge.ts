import { nth } from '../common/nth.ts';
import type { Algorithm, Charge, Quota, Restoration } from './rate-limit-store.interface.ts';

const ALGORITHMS: Readonly<Record<Algorithm, number>> = { sliding: 1, fixed: 2, gcra: 3 };
const ACTS = { look: 0, spend: 1, spendAnyway: 2, refund: 3, block: 4, restore: 5, admit: 6 } as const;

/** What the script does for a request, as it takes it; requests that pass the same array share it in a call. */
export type ScriptCharge = readonly string[];

/** The charges of a policy are usually the same object: its arguments are then, too. */
const spending = new WeakMap<Charge, ScriptCharge>();

export function spendCharge(charge: Charge): ScriptCharge {
  const known = spending.get(charge);
  if (known !== undefined) return known;
  const act = charge.consumesOnReject ? ACTS.spendAnyway : ACTS.spend;
  const args = plainCharge(charge) ?? chargeOf(act, charge.quotas, { costs: charge.costs });
  spending.set(charge, args);
  return args;
}

/** As most charges are: each argument that is left out is one that the server need not read. */
function plainCharge({ quotas, costs, consumesOnReject }: Charge): ScriptCharge | undefined {
  if (consumesOnReject || !quotas.every(isPlain)) return undefined;
  const ofQuotas = quotas.flatMap((quota, at) => argumentsOf(quota, nth(costs, at)).slice(0, PLAIN_ARGUMENTS));
  return [ACTS.admit, quotas.length, ...ofQuotas].map(String);
}

const isPlain = ({ algorithm, isShadow, escalation }: Quota): boolean =>
  algorithm !== 'gcra' && !isShadow && escalation === undefined;
/** Algorithm, capacity, step and cost. */
const PLAIN_ARGUMENTS = 4;

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
  const ofQuotas = quotas.flatMap((quota, at) => argumentsOf(quota, costs[at] ?? 0));
  return [act, quotas.length, ...amounts, ...ofQuotas].map(String);
}

/** The algorithm of a quota in shadow is negative. */
function argumentsOf({ algorithm, capacity, stepUs, isShadow, escalation }: Quota, cost: number): number[] {
  const args = [isShadow ? -ALGORITHMS[algorithm] : ALGORITHMS[algorithm], capacity, stepUs, cost];
  if (escalation === undefined) return [...args, 0];
  const { after, withinMs, blockMs, maxMs } = escalation;
  return [...args, after, ...[withinMs, blockMs, maxMs].map((ms) => ms * 1_000)];
}
