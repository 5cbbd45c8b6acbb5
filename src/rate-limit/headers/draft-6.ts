import { remainingOf, tightestOf } from '../rate-limit.decision.ts';
import { waitSeconds, windowSeconds } from './draft-10.ts';
import type { HeaderForm } from './header-form.ts';

/** draft-ietf-httpapi-ratelimit-headers-06: one field for each figure of the tightest policy. */
export const draft6: HeaderForm = (standings) => {
  const tightest = tightestOf(standings);
  return [
    ['RateLimit-Policy', standings.map(({ quota }) => `${quota.capacity};w=${windowSeconds(quota)}`).join(', ')],
    ['RateLimit-Limit', String(tightest.quota.capacity)],
    ['RateLimit-Remaining', String(remainingOf(tightest))],
    ['RateLimit-Reset', String(waitSeconds(tightest))],
  ];
};
