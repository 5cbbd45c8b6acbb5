import { HttpException } from '@nestjs/common';
import { bodyOf, BRAND, predicateOf, StoreUnavailableError } from '../common/errors.ts';

const TOO_MANY = 'Too many requests: try again later';

/** Thrown (429) when a policy refuses a call. */
export class RateLimitExceededError extends HttpException {
  readonly code = 'KEEP_RATE_LIMIT_EXCEEDED';
  readonly [BRAND] = true;

  /**
   * @param retryAfterMs after which the same call is admitted if nobody calls meanwhile
   * @param violated names of the policies that refused
   * @param body what an HTTP client is answered
   */
  constructor(
    readonly retryAfterMs: number,
    readonly violated: readonly string[],
    body: object = bodyOf(429, 'KEEP_RATE_LIMIT_EXCEEDED', TOO_MANY),
  ) {
    super(body, 429);
    this.message = TOO_MANY;
  }
}
export const isRateLimitExceededError = predicateOf<RateLimitExceededError>('KEEP_RATE_LIMIT_EXCEEDED');

/** What `RateLimitGuard` answers (503) where a policy must not be exceeded and the server cannot be asked. */
export class LimitsUnavailableError extends StoreUnavailableError {
  readonly retryAfterMs = 1_000;

  constructor(private readonly body?: object) {
    super('rateLimit', 'the server does not answer');
  }

  override getResponse(): string | object {
    return this.body ?? super.getResponse();
  }
}
