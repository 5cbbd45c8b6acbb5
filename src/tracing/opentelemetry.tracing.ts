import type { Attributes, Span, SpanOptions, Tracer } from '@opentelemetry/api';
import { ByName } from '../common/by-name.ts';
import { errorKind } from '../common/error-kind.ts';
import type { AnsweredFrom, ReadOutcome, Tracing } from '../common/tracing.ts';

type Api = typeof import('@opentelemetry/api');

const SCOPE = 'nestjs-keep';

/**
 * Undefined where nobody would see a span: without the optional peer, or when no SDK is registered by now.
 * @param isMemory what lies behind the memory of this process is memory, too
 */
export async function openTracing(isMemory: boolean): Promise<Tracing | undefined> {
  const api = await import('@opentelemetry/api').catch(() => undefined);
  return api !== undefined && isRegistered(api) ? new OpenTelemetryTracing(api, isMemory) : undefined;
}

/** The API stands in for an SDK until there is one; an SDK that has another copy of it replaces the stand-in. */
function isRegistered({ trace, ProxyTracerProvider }: Api): boolean {
  const provider = trace.getTracerProvider();
  return !(provider instanceof ProxyTracerProvider) || provider.getDelegateTracer(SCOPE) !== undefined;
}

/** What all spans of one cache have in common. */
interface Spans {
  readonly read: string;
  readonly load: string;
  readonly options: SpanOptions;
}

/**
 * Spans with names of our own: OpenTelemetry has no convention for caches. What goes over the wire is left to the
 * instrumentation of ioredis.
 */
class OpenTelemetryTracing implements Tracing {
  readonly #api: Api;
  readonly #tracer: Tracer;
  readonly #isMemory: boolean;
  /** Where the span of the read that runs now is found: the active one may be the application's. */
  readonly #reading: symbol;
  readonly #spans: ByName<Spans>;

  constructor(api: Api, isMemory: boolean) {
    this.#api = api;
    this.#tracer = api.trace.getTracer(SCOPE);
    this.#isMemory = isMemory;
    this.#reading = api.createContextKey(`${SCOPE}.read`);
    const kind = api.SpanKind.INTERNAL;
    this.#spans = new ByName((name) => ({
      ...{ read: `cache.get ${name}`, load: `cache.load ${name}` },
      options: { kind, attributes: { 'cache.name': name } },
    }));
  }

  async read<R>(cache: string, run: () => Promise<R>): Promise<R> {
    const { read, options } = this.#spans.of(cache);
    return this.#inside(this.#tracer.startSpan(read, options), true, run);
  }

  async load<R>(cache: string, run: () => R | Promise<R>): Promise<R> {
    const { load, options } = this.#spans.of(cache);
    return this.#inside(this.#tracer.startSpan(load, options), false, run);
  }

  answered(outcome: ReadOutcome, from: AnsweredFrom): void {
    const span = this.#api.context.active().getValue(this.#reading) as Span | undefined;
    span?.setAttributes(this.#answer(outcome, from));
  }

  event(name: string, attributes: Attributes): void {
    this.#api.trace.getActiveSpan()?.addEvent(name, attributes);
  }

  #answer(outcome: ReadOutcome, from: AnsweredFrom): Attributes {
    const isStale = outcome === 'stale';
    if (outcome !== 'hit' && !isStale) return { 'cache.hit': false };
    const tier = from === 'memory' || this.#isMemory ? 'l1' : 'l2';
    return { 'cache.hit': true, 'cache.tier': tier, 'cache.stale': isStale };
  }

  async #inside<R>(span: Span, isRead: boolean, run: () => R | Promise<R>): Promise<R> {
    const { context, trace, SpanStatusCode } = this.#api;
    const active = trace.setSpan(context.active(), span);
    // What a factory reads is another read.
    const inside = isRead ? active.setValue(this.#reading, span) : active.deleteValue(this.#reading);
    try {
      return await context.with(inside, run);
    } catch (error) {
      // Its text may hold data.
      span.setAttribute('error.type', errorKind(error));
      span.setStatus({ code: SpanStatusCode.ERROR });
      throw error;
    } finally {
      span.end();
    }
  }
}
