import type { PolicyStanding } from '../rate-limit.decision.ts';
import type { RateLimitHeaders } from '../rate-limit.options.ts';
import { draft10 } from './draft-10.ts';
import { draft6 } from './draft-6.ts';
import { draft7 } from './draft-7.ts';
import type { Header, HeaderForm, HeaderSettings } from './header-form.ts';
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
): readonly Header[] {
  const [only, another] = forms;
  if (only !== undefined && another === undefined) return FORMS[only](standings, settings);
  const headers = new Map<string, Header>();
  for (const form of forms) {
    for (const header of FORMS[form](standings, settings)) if (!headers.has(header[0])) headers.set(header[0], header);
  }
  return [...headers.values()];
}
