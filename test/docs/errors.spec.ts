import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { HttpException } from '@nestjs/common';
import * as gateway from '../../src/gateway/index.ts';
import * as root from '../../src/index.ts';

const api = { ...root, ...gateway };

/** One of each; a class that is exported and missing here fails the first test. */
const ERRORS: readonly (Error & { readonly code: string })[] = [
  new api.CircuitFullError('c'),
  new api.CircuitOpenError('c', 1),
  new api.CircuitTimeoutError('c', 1),
  new api.FactoryTimeoutError('k', 1),
  new api.GatewayError('u', 'connection_refused'),
  new api.IdempotencyAnswerLostError(),
  new api.IdempotencyConflictError(1),
  new api.IdempotencyMismatchError(),
  new api.IdempotencyRequestError(),
  new api.IdempotencyUnavailableError(),
  new api.InvalidKeyError('m'),
  new api.InvalidOptionsError('m', ['f']),
  new api.InvalidTtlError('m'),
  new api.LockConflictError('r', 1),
  new api.LockLostError('r'),
  new api.LockReentranceError('r'),
  new api.LockUnavailableError('r'),
  new api.OutcomeUnknownError('o', 'r'),
  new api.RateLimitExceededError(1, ['p']),
  new api.ReentrantLoadError('k'),
  new api.SerializationError('m'),
  new api.StoreUnavailableError('o', 'r'),
  new api.WrongTypeError('m'),
];

const exported = Object.entries(api as Record<string, unknown>);
const nameOf = (error: Error): string => error.constructor.name;

/** `| class | code | status |` of every row of the table. */
const documented = readFileSync(join(__dirname, '../../docs/errors.md'), 'utf8')
  .split('\n')
  .filter((line) => /^\| `\w+Error`/.test(line))
  .map((line) => line.split('|').map((cell) => cell.trim().replaceAll('`', '')))
  .map(([, name, code, status]) => ({ name, code, status }));

describe('docs/errors.md', () => {
  it('is about every error class that is exported', () => {
    const classes = exported
      .filter(([, value]) => typeof value === 'function' && value.prototype instanceof Error)
      .map(([name]) => name)
      .filter((name) => name !== 'CacheInfrastructureError');
    expect(ERRORS.map(nameOf)).toEqual(classes.sort());
  });

  it('has a row for every error with its code and status, and no other', () => {
    expect(documented).toEqual(
      ERRORS.map((error) => ({
        name: nameOf(error),
        code: error.code,
        status: error instanceof HttpException ? String(error.getStatus()) : '',
      })),
    );
  });

  it.each(ERRORS.map((error) => [nameOf(error), error] as const))('names a predicate for %s', (name, error) => {
    const predicate = (api as unknown as Record<string, (error: unknown) => boolean>)[`is${name}`]!;
    expect(ERRORS.filter(predicate)).toEqual([error]);
    expect(api.isCacheInfrastructureError(error)).toBe(true);
  });

  it('says what the body of an answer holds', () => {
    for (const error of ERRORS.filter((error) => error instanceof HttpException)) {
      expect(error.getResponse()).toEqual({
        statusCode: error.getStatus(),
        code: error.code,
        message: error.message,
      });
    }
  });
});
