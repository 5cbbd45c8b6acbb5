import { types } from 'node:util';
import { isCircuitOpenError } from '../circuit-breaker/circuit-breaker.errors.ts';
import {
  isCacheInfrastructureError,
  OutcomeUnknownError,
  StoreUnavailableError,
  WrongTypeError,
} from '../common/errors.ts';

/** What ioredis says about a command that it has not sent. */
const NOT_SENT = 'enableOfflineQueue options is false';
const WRONG_TYPE = /^ERR .*\b(is not an integer|is not a valid float|would overflow|would produce NaN)/;
/** Servers before 7 put the line of the script in front of the error that a command inside it raised. */
const SCRIPT_POSITION = /^@?user_script: ?\d+: /;

/**
 * What a failed command means to its caller: the only place that decides it.
 *
 * The errors of ioredis carry the command with all its arguments, passwords and values among them. So nothing of them
 * is passed on but the first word of the server's answer, not even as the cause.
 */
export function failureOf(operation: string, error: unknown): Error {
  if (isCircuitOpenError(error)) return new StoreUnavailableError(operation, 'the server does not answer');
  if (isCacheInfrastructureError(error) || isProgrammingError(error)) return error;
  if (isWrongType(error)) return new WrongTypeError(`${operation}: the key holds another kind of data`);
  const code = replyCodeOf(error);
  if (code !== undefined) return new StoreUnavailableError(operation, `the server answered ${code}`, code);
  if (isNotSent(error)) return new StoreUnavailableError(operation, 'the server is not connected');
  return new OutcomeUnknownError(operation, reasonOf(error));
}

/** Answers of a server that serves nobody at the moment; any other error is about one command only. */
const SERVES_NOBODY: ReadonlySet<string> = new Set([
  ...['LOADING', 'MASTERDOWN', 'READONLY', 'CLUSTERDOWN', 'BUSY'],
  ...['NOAUTH', 'WRONGPASS'],
]);

/** Whether a failure, as it came from ioredis, says that the server cannot be used, not just for this command. */
export function isOutage(error: unknown): boolean {
  if (isProgrammingError(error)) return false;
  const code = replyCodeOf(error);
  return code === undefined || SERVES_NOBODY.has(code);
}

/** First word of an error that the server answered, such as `NOSCRIPT`; undefined when it did not answer at all. */
export function replyCodeOf(error: unknown): string | undefined {
  if (!isError(error) || error.name !== 'ReplyError') return undefined;
  const [code] = /^[A-Z][A-Z0-9]*\b/.exec(messageOf(error)) ?? ['an error'];
  return code;
}

/** Why a connection failed, in words that hold neither user nor password. */
export function reasonOf(error: unknown): string {
  if (!isError(error)) return 'connection lost';
  const code = replyCodeOf(error);
  if (code !== undefined) return `the server answered ${code}`;
  // A cluster that reached none of its nodes keeps what went wrong with the last one.
  if ('lastNodeError' in error) return reasonOf(error.lastNodeError);
  if (/timed out|Socket timeout/.test(error.message)) return 'no answer in time';
  return systemCodeOf(error) ?? 'connection lost';
}

/** The server's word for it when it does not accept our user or password; undefined for any other error. */
export function credentialsRefused(error: unknown): string | undefined {
  if (isError(error) && 'lastNodeError' in error) return credentialsRefused(error.lastNodeError);
  const code = replyCodeOf(error);
  return code === 'NOAUTH' || code === 'WRONGPASS' ? code : undefined;
}

function systemCodeOf(error: Error): string | undefined {
  const { code } = error as NodeJS.ErrnoException;
  return typeof code === 'string' && /^[A-Z0-9_]+$/.test(code) ? code : undefined;
}

function isWrongType(error: unknown): boolean {
  const code = replyCodeOf(error);
  return code === 'WRONGTYPE' || (code === 'ERR' && WRONG_TYPE.test(messageOf(error as Error)));
}

const messageOf = (error: Error): string => error.message.replace(SCRIPT_POSITION, '');

const isNotSent = (error: unknown): boolean => isError(error) && error.message.endsWith(NOT_SENT);

/** A mistake in our own code is neither an outage nor an unknown outcome, and must stay visible. */
const isProgrammingError = (error: unknown): error is Error =>
  isError(error) && ['TypeError', 'RangeError', 'ReferenceError'].includes(error.name);

/** Unlike `instanceof` this also knows the errors of Node itself in a test runner that isolates its globals. */
const isError = (value: unknown): value is Error => types.isNativeError(value);
