import { remainingOf, tightestOf } from '../rate-limit.decision.ts';
import { waitSeconds, windowSeconds } from './draft-10.ts';
import type { HeaderForm } from './header-form.ts';

/**
 * draft-ietf-httpapi-ratelimit-headers-07: one field for the tightest policy.
 * `RateLimit: limit=100, remaining=42, reset=17` and `RateLimit-Policy: 100;w=60`
 */
export const draft7: HeaderForm = (standings) => {
  const tightest = tightestOf(standings);
  const { capacity } = tightest.quota;
  return [
    ['RateLimit-Policy', standings.map(({ quota }) => `${quota.capacity};w=${windowSeconds(quota)}`).join(', ')],
    ['RateLimit', `limit=${capacity}, remaining=${remainingOf(tightest)}, reset=${waitSeconds(tightest)}`],
  ];
};
