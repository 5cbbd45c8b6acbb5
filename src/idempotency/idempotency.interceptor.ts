import { type CallHandler, type ExecutionContext, Injectable, type NestInterceptor } from '@nestjs/common';
import { from, type Observable } from 'rxjs';
import { isSerializationError } from '../common/errors.ts';
import { Exchange, type HttpRequest } from '../http-cache/exchange.ts';
import type { ResolvedHttpOptions } from '../http-cache/http.options.ts';
import { isUnsafe } from '../http-cache/invalidation.ts';
import { AS_IT_IS, type RecordedResponse, ResponseRecorder } from '../http-cache/response-recorder.ts';
import { unpacked } from '../http-cache/stored-response.ts';
import { keepingOf } from './answer.ts';
import { idempotencyKeyOf } from './idempotency-key.ts';
import { type Refusal, refusalOf } from './idempotency-problem.ts';
import type { IdempotencyCount, IdempotencyService } from './idempotency.service.ts';
import type { IdempotentRun } from './idempotent-run.ts';
import { type IdempotentOperation, idempotentOperationOf } from './idempotent.options.ts';
import { fingerprintOf, requestIdentityOf } from './request-identity.ts';

const COUNTED_AS: Readonly<Record<Refusal['kind'], IdempotencyCount>> = {
  missing: 'invalid',
  malformed: 'invalid',
  incomparable: 'invalid',
  running: 'conflict',
  mismatch: 'mismatch',
  'answer-lost': 'answer-lost',
  unavailable: 'unavailable',
};

/**
 * Does on routes what `@Idempotent` says. It has to stand in front of all interceptors that make a response, and does
 * behind all guards: whoever is denied claims nothing.
 */
@Injectable()
export class IdempotencyInterceptor implements NestInterceptor {
  constructor(
    private readonly service: IdempotencyService,
    private readonly http: ResolvedHttpOptions,
  ) {}

  intercept(context: ExecutionContext, next: CallHandler): Observable<unknown> {
    if (context.getType() !== 'http') return next.handle();
    const operation = idempotentOperationOf(context.getHandler());
    const { method, headers } = context.switchToHttp().getRequest<HttpRequest>();
    if (operation === undefined || !isUnsafe(method)) return next.handle();
    const given = idempotencyKeyOf(headers['idempotency-key'], operation.syntax === 'strict');
    if (given.kind === 'missing' && !operation.required) return next.handle();
    const exchange = new Exchange(context, next);
    if (given.kind !== 'key') throw this.#refusal(given, exchange, operation);
    return from(this.#answer(exchange, operation, given.key));
  }

  async #answer(exchange: Exchange, operation: IdempotentOperation, key: string): Promise<unknown> {
    const { leaseMs, waitMs, onOutage, principal = this.http.principal, declaration } = operation;
    const beginning = await this.service.begin({
      identity: requestIdentityOf(exchange, key, principal, this.http.secret),
      fingerprint: this.#fingerprintOf(exchange, operation),
      ...{ leaseMs, waitMs, onOutage, route: declaration.name },
      isWanted: () => !exchange.raw.closed,
    });
    switch (beginning.kind) {
      case 'begun':
        return this.#run(exchange, operation, beginning.run);
      case 'answered':
        this.#replay(exchange, operation, beginning.answer);
        return undefined;
      default:
        throw this.#refusal(beginning, exchange, operation);
    }
  }

  #fingerprintOf(exchange: Exchange, operation: IdempotentOperation): string {
    try {
      return fingerprintOf(exchange, operation.fingerprint);
    } catch (error) {
      throw isSerializationError(error) ? this.#refusal({ kind: 'incomparable' }, exchange, operation) : error;
    }
  }

  /** The client gets its last bytes when a retry would get them, too. */
  #run(exchange: Exchange, operation: IdempotentOperation, run: IdempotentRun): Promise<unknown> {
    const end = (recorded: RecordedResponse): Promise<void> => this.#end(recorded, operation, run);
    const recorder = new ResponseRecorder(exchange.raw, {
      maxBytes: operation.maxBodyBytes ?? this.http.maxBodyBytes,
      onHead: () => AS_IT_IS,
      beforeEnd: end,
    });
    void recorder.finished.then((recorded) => (recorded.isWhole ? undefined : end(recorded)));
    const running = exchange.run();
    recorder.accompany(running);
    return running;
  }

  async #end(recorded: RecordedResponse, operation: IdempotentOperation, run: IdempotentRun): Promise<void> {
    const { serverErrors, maxBodyBytes: maxBytes = this.http.maxBodyBytes, ttlMs } = operation;
    const dropHeaders = this.http.dropHeaders.map((name) => name.toLowerCase());
    const keeping = await keepingOf(recorded, { serverErrors, maxBytes, dropHeaders });
    await (keeping.kind === 'keep' ? run.keep(keeping.answer, ttlMs) : run.release());
  }

  #replay(exchange: Exchange, operation: IdempotentOperation, answer: Buffer): void {
    const response = unpacked(answer);
    if (response === undefined) throw this.#refusal({ kind: 'answer-lost' }, exchange, operation);
    this.service.count('replayed');
    const { status, headers } = response.draft;
    exchange.send({ status, headers, extra: [['idempotent-replayed', 'true']], body: response.sendable });
  }

  #refusal(refusal: Refusal, exchange: Exchange, operation: IdempotentOperation): Error {
    this.service.count(COUNTED_AS[refusal.kind]);
    return refusalOf(refusal, exchange, operation);
  }
}
