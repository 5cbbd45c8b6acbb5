import { createHmac } from 'node:crypto';
import { nth } from '../../common/nth.ts';
import { isViolated, type PolicyStanding, remainingOf } from '../rate-limit.decision.ts';
import type { Quota } from '../rate-limit-store.interface.ts';
import { wireNameOf } from '../wire-name.ts';
import type { HeaderForm } from './header-form.ts';

/**
 * draft-ietf-httpapi-ratelimit-headers-10: structured fields, one item for each policy.
 * `RateLimit-Policy: "burst";q=100;w=60` and `RateLimit: "burst";r=42;t=17`
 */
export const draft10: HeaderForm = (standings, { partitionSecret: secret }) => [
  ['RateLimit-Policy', listOf(standings, (standing) => policyItem(standing) + partitionOf(standing, secret))],
  ['RateLimit', listOf(standings, (standing) => limitItem(standing) + partitionOf(standing, secret))],
];

/** Most requests have one policy. */
const listOf = (standings: readonly PolicyStanding[], item: (standing: PolicyStanding) => string): string =>
  standings.length === 1 ? item(nth(standings, 0)) : standings.map(item).join(', ');

/** What does not change from answer to answer: quotas are made once for each policy and tier. */
const itemsOf = new WeakMap<Quota, { readonly name: string; readonly policy: string }>();

function fixedItem({ policy, quota }: PolicyStanding) {
  const known = itemsOf.get(quota);
  if (known !== undefined) return known;
  const name = `"${wireNameOf(policy.name)}"`;
  const item = { name, policy: `${name};q=${quota.capacity};w=${windowSeconds(quota)}` };
  itemsOf.set(quota, item);
  return item;
}

const policyItem = (standing: PolicyStanding): string => fixedItem(standing).policy;

const limitItem = (standing: PolicyStanding): string =>
  `${fixedItem(standing).name};r=${remainingOf(standing)};t=${waitSeconds(standing)}`;

/** Seconds until it is worth asking again: for who was refused until the next unit, else until all are back. */
export const waitSeconds = (standing: PolicyStanding): number => {
  const { retryAfterMs, resetMs } = standing.state;
  return Math.ceil((isViolated(standing) ? retryAfterMs : resetMs) / 1_000);
};

/** Within which the quota is there again. */
export const windowSeconds = ({ algorithm, capacity, stepUs, windowMs }: Quota): number =>
  Math.max(1, Math.ceil(algorithm === 'gcra' ? (capacity * stepUs) / 1_000_000 : windowMs / 1_000));

/** Tells counts apart, and not whose they are. */
function partitionOf({ quota, subject }: PolicyStanding, secret: string | undefined): string {
  if (secret === undefined) return '';
  const digest = createHmac('sha256', secret).update(`${quota.id}:${subject}`).digest();
  return `;pk=:${digest.subarray(0, 9).toString('base64')}:`;
}
