import { inspect } from 'node:util';
import { OutcomeUnknownError, StoreUnavailableError, WrongTypeError } from '../common/errors.ts';
import { CircuitOpenError } from '../circuit-breaker/circuit-breaker.errors.ts';
import { credentialsRefused, failureOf, isOutage, reasonOf, replyCodeOf } from './redis.outcome.ts';

/** As ioredis makes them: with the command and all its arguments. */
const replyError = (message: string): Error =>
  Object.assign(new Error(message), { name: 'ReplyError', command: { name: 'set', args: ['key', 'hunter2'] } });

describe('failureOf', () => {
  it.each([
    'READONLY',
    'LOADING',
    'MASTERDOWN',
    'OOM',
    'NOAUTH',
    'WRONGPASS',
    'NOPERM',
    'BUSY',
    'CLUSTERDOWN',
    'MISCONF',
    'NOREPLICAS',
    'TRYAGAIN',
    'MOVED',
    'NOSCRIPT',
    'ERR',
  ])('says that a command answered with %s was not executed, and names only that word', (code) => {
    const failure = failureOf('lock.acquire', replyError(`${code} hunter2 is refused`));
    expect(failure).toBeInstanceOf(StoreUnavailableError);
    expect(failure.message).toBe(`lock.acquire was not executed: the server answered ${code}`);
  });

  it.each([
    'WRONGTYPE Operation against a key holding the wrong kind of value',
    'ERR value is not an integer or out of range',
    'ERR hash value is not an integer',
    'ERR value is not a valid float',
    'ERR increment or decrement would overflow',
    'user_script:7: WRONGTYPE Operation against a key holding the wrong kind of value',
    '@user_script: 7: WRONGTYPE Operation against a key holding the wrong kind of value',
  ])('says that the key holds something else when the answer is "%s"', (message) => {
    expect(failureOf('incr', replyError(message))).toBeInstanceOf(WrongTypeError);
  });

  it.each([
    "Stream isn't writeable and enableOfflineQueue options is false",
    "Cluster isn't ready and enableOfflineQueue options is false",
  ])('says that a command was not executed when ioredis did not send it: "%s"', (message) => {
    expect(failureOf('get', new Error(message))).toBeInstanceOf(StoreUnavailableError);
  });

  it.each([
    new Error('Connection is closed.'),
    new Error('Command timed out'),
    new Error('Reached the max retries per request limit (which is 0). Refer to "maxRetriesPerRequest" option'),
    Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }),
    Object.assign(new Error('Command aborted due to connection close'), { name: 'AbortError' }),
    'not even an error',
  ])('says that the outcome is unknown when there was no answer: %p', (error) => {
    expect(failureOf('set', error)).toBeInstanceOf(OutcomeUnknownError);
  });

  it('passes on nothing of the error of ioredis', () => {
    for (const message of ['WRONGPASS invalid', 'WRONGTYPE hunter2', 'ERR hunter2', "oops 'hunter2'", 'hunter2']) {
      const failure = failureOf('set', replyError(message));
      expect(inspect(failure, { depth: 10, showHidden: true })).not.toContain('hunter2');
      expect(failure.cause).toBeUndefined();
    }
  });

  it('leaves our own errors and programming errors as they are', () => {
    for (const error of [new OutcomeUnknownError('get', 'late'), new TypeError('x is not a function')]) {
      expect(failureOf('get', error)).toBe(error);
    }
  });
});

describe('replyCodeOf', () => {
  it('is undefined for what the server did not say', () => {
    expect(replyCodeOf(new Error('WRONGPASS'))).toBeUndefined();
    expect(replyCodeOf('WRONGPASS')).toBeUndefined();
  });

  it('does not take a word for a code that is not written like one', () => {
    expect(replyCodeOf(replyError("value 'hunter2' refused"))).toBe('an error');
  });
});

describe('an open circuit', () => {
  it('means that the command was not executed', () => {
    const failure = failureOf('get', new CircuitOpenError('nestjs-keep:server', 100));
    expect(failure).toBeInstanceOf(StoreUnavailableError);
    expect(failure.message).toBe('get was not executed: the server does not answer');
  });
});

describe('reasonOf', () => {
  it.each([
    [Object.assign(new Error('connect ECONNREFUSED 10.0.0.1:6379'), { code: 'ECONNREFUSED' }), 'ECONNREFUSED'],
    [new Error('Command timed out'), 'no answer in time'],
    [new Error("Socket timeout. Expecting data, but didn't receive any in 1000ms."), 'no answer in time'],
    [replyError('WRONGPASS invalid username-password pair'), 'the server answered WRONGPASS'],
    [Object.assign(new Error('none'), { lastNodeError: replyError('NOAUTH x') }), 'the server answered NOAUTH'],
    [Object.assign(new Error('x'), { code: 'user:hunter2@host' }), 'connection lost'],
    [undefined, 'connection lost'],
  ])('puts %p into a few harmless words', (error, words) => {
    expect(reasonOf(error)).toBe(words);
  });
});

describe('isOutage', () => {
  it.each(['LOADING', 'MASTERDOWN', 'READONLY', 'CLUSTERDOWN', 'BUSY', 'NOAUTH'])('is what %s says', (code) => {
    expect(isOutage(replyError(`${code} for everybody`))).toBe(true);
  });

  it.each(['WRONGTYPE', 'ERR', 'OOM', 'NOPERM', 'NOSCRIPT', 'MISCONF', 'EXECABORT', 'CROSSSLOT'])(
    'is not what %s says: it is about one command',
    (code) => {
      expect(isOutage(replyError(`${code} for this one`))).toBe(false);
    },
  );

  it('is a command without an answer', () => {
    expect(isOutage(new OutcomeUnknownError('get', 'no answer'))).toBe(true);
    expect(isOutage(new Error('Connection is closed.'))).toBe(true);
  });

  it('is not a mistake in our own code', () => {
    expect(isOutage(new TypeError('undefined is not a function'))).toBe(false);
  });
});

describe('credentialsRefused', () => {
  it.each(['WRONGPASS', 'NOAUTH'])('names %s, also when a cluster says it', (code) => {
    const error = replyError(`${code} hunter2`);
    expect(credentialsRefused(error)).toBe(code);
    expect(credentialsRefused(Object.assign(new Error('all failed'), { lastNodeError: error }))).toBe(code);
  });

  it('names nothing else', () => {
    expect(credentialsRefused(replyError('NOPERM no'))).toBeUndefined();
    expect(credentialsRefused(new Error('connection lost'))).toBeUndefined();
  });
});
