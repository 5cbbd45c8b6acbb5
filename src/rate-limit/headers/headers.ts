import type { PolicyStanding } from '../rate-limit.decision.ts';
import type { RateLimitHeaders } from '../rate-limit.options.ts';
import { draft10 } from './draft-10.ts';
import { draft6 } from './draft-6.ts';
import { draft7 } from './draft-7.ts';
import type { HeaderForm, HeaderSettings } from './header-form.ts';
import { legacy } from './legacy.ts';

const FORMS: Readonly<Record<RateLimitHeaders, HeaderForm>> = {
  'draft-10': draft10,
  'draft-7': draft7,
  'draft-6': draft6,
  legacy,
};

/** The headers of one answer. A name that several forms share is written in the form that is listed first. */
export function headersOf(
  forms: readonly RateLimitHeaders[],
  standings: readonly PolicyStanding[],
  settings: HeaderSettings,
): ReadonlyMap<string, string> {
  const headers = new Map<string, string>();
  for (const form of forms) {
    for (const [name, value] of FORMS[form](standings, settings)) if (!headers.has(name)) headers.set(name, value);
  }
  return headers;
}
