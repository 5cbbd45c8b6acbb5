import { HttpException } from '@nestjs/common';
import { bodyOf, BRAND, predicateOf } from '../common/errors.ts';

/** Thrown (429) when a policy refuses a call. */
export class RateLimitExceededError extends HttpException {
  readonly code = 'KEEP_RATE_LIMIT_EXCEEDED';
  readonly [BRAND] = true;

  /**
   * @param retryAfterMs after which the same call is admitted if nobody calls meanwhile
   * @param violated names of the policies that refused
   */
  constructor(
    readonly retryAfterMs: number,
    readonly violated: readonly string[],
  ) {
    super(bodyOf(429, 'KEEP_RATE_LIMIT_EXCEEDED', 'Too many requests: try again later'), 429);
  }
}
export const isRateLimitExceededError = predicateOf<RateLimitExceededError>('KEEP_RATE_LIMIT_EXCEEDED');
