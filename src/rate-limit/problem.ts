import { isViolated, type Judgement, type RateLimitDecision } from './rate-limit.decision.ts';
import { wireNameOf } from './wire-name.ts';

/** Registered in the IANA registry of HTTP problem types by draft-ietf-httpapi-ratelimit-headers. */
const TYPES = 'https://iana.org/assignments/http-problem-types#';

const PROBLEMS = {
  'quota-exceeded': [429, 'Request cannot be satisfied as assigned quota has been exceeded'],
  'abnormal-usage-detected': [429, 'Request not satisfied due to detection of abnormal request pattern'],
  'temporary-reduced-capacity': [503, 'Request cannot be satisfied due to temporary server capacity constraints'],
} as const;

/** Why a request is refused, as RFC 9457 has it, and what clients of Nest look for. */
export function problemOf(
  type: keyof typeof PROBLEMS,
  detail: string,
  code: string,
  extensions: Readonly<Record<string, unknown>>,
): object {
  const [status, title] = PROBLEMS[type];
  return { type: TYPES + type, title, status, detail, ...extensions, statusCode: status, message: detail, code };
}

/** @param instance of the request, if it has a name */
export function refusalProblem({ standings, decision }: Judgement, instance: string | undefined): object {
  const violated = standings.filter(isViolated);
  const isAbnormal = violated.some(({ state }) => state.block !== 'none');
  return problemOf(
    isAbnormal ? 'abnormal-usage-detected' : 'quota-exceeded',
    detailOf(decision),
    'KEEP_RATE_LIMIT_EXCEEDED',
    {
      ...(instance !== undefined && { instance }),
      'violated-policies': violated.map(({ policy }) => wireNameOf(policy.name)),
    },
  );
}

export const outageProblem = (instance: string | undefined): object =>
  problemOf(
    'temporary-reduced-capacity',
    'Requests cannot be counted at the moment: try again soon',
    'KEEP_STORE_UNAVAILABLE',
    {
      // prettier-ignore
      ...(instance !== undefined && { instance }),
    },
  );

const detailOf = ({ retryAfterMs }: RateLimitDecision): string =>
  `Too many requests: try again in ${retryAfterSeconds(retryAfterMs)} s`;

/** Whole seconds, at least one: who comes back after them is not early. */
export const retryAfterSeconds = (ms: number): number => Math.max(1, Math.ceil(ms / 1_000));
