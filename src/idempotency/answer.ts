import { identityHeaders, identityOf } from '../http-cache/identity.ts';
import type { RecordedResponse } from '../http-cache/response-recorder.ts';
import { bodyFault } from '../http-cache/storable.ts';
import { storedHeaders } from '../http-cache/stored-headers.ts';
import { packed } from '../http-cache/stored-response.ts';

/** What a retry gets: the answer in bytes, nothing of it, or a run of its own. */
export type Keeping = { readonly kind: 'keep'; readonly answer: Buffer } | { readonly kind: 'release' };

export interface AnswerRules {
  /** Whether answers of 500 and more are kept. */
  readonly serverErrors: boolean;
  readonly maxBytes: number;
  /** Headers that are not replayed, beside those that never are; lower-case. */
  readonly dropHeaders: readonly string[];
}

/** About who asks, or about this moment: the next time the answer may be another one. 423 is a lock that was held. */
const OF_THE_MOMENT: ReadonlySet<number> = new Set([401, 403, 408, 409, 423, 425, 429]);
/** About the bytes on the wire. */
const NOT_KEPT = ['content-length', 'content-encoding'];

/** What has run, and cannot be told any more: a retry is not to run again for that. */
export const ANSWER_LOST = Buffer.alloc(0);
const RELEASE: Keeping = { kind: 'release' };
const TIMELESS = { generatedAtMs: 0, ageMs: 0, freshMs: 0, revalidateMs: 0, errorMs: 0, isStaleForbidden: false };

/** What is kept of the response of a run. */
export async function keepingOf(recorded: RecordedResponse, rules: AnswerRules): Promise<Keeping> {
  const { status, headers, body } = recorded;
  const { serverErrors, maxBytes, dropHeaders } = rules;
  if (OF_THE_MOMENT.has(status) || (status >= 500 && !serverErrors)) return RELEASE;
  const lost: Keeping = { kind: 'keep', answer: ANSWER_LOST };
  if (body === undefined || bodyFault({ ...recorded, maxBytes }) !== undefined) return lost;
  const identity = await identityOf(body, headers, maxBytes);
  if (identity === undefined) return lost;
  const drop = new Set([...NOT_KEPT, ...dropHeaders]);
  const answer = packed({
    ...TIMELESS,
    ...{ status, id: '-', vary: [], variant: '', body: identity },
    headers: storedHeaders(identityHeaders(headers), drop),
  });
  return { kind: 'keep', answer };
}
