/** What a limit may look at: the request of Express or Fastify, of a GraphQL operation, or its like of a message. */
export interface LimitedRequest {
  /** As the framework sees it: forwarded headers count only where its trust proxy setting says so. */
  readonly ip?: string | undefined;
  /** Put there by the application's own guards or middleware, once it knows who is calling. */
  readonly user?: Readonly<Record<string, unknown>> | null | undefined;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: Readonly<Record<string, unknown>>;
  readonly params: Readonly<Record<string, unknown>>;
  readonly query: Readonly<Record<string, unknown>>;
}

/** A function of the request; it may ask for the platform's own type of request. */
export type RequestFunction<T> = { of(request: LimitedRequest): T }['of'];
