import { remainingOf, tightestOf } from '../rate-limit.decision.ts';
import { waitSeconds } from './draft-10.ts';
import type { HeaderForm } from './header-form.ts';

/** What many had before there was a draft; the reset is in seconds from now. */
export const legacy: HeaderForm = (standings) => {
  const tightest = tightestOf(standings);
  return [
    ['X-RateLimit-Limit', String(tightest.quota.capacity)],
    ['X-RateLimit-Remaining', String(remainingOf(tightest))],
    ['X-RateLimit-Reset', String(waitSeconds(tightest))],
  ];
};
