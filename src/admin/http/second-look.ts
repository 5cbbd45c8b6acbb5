/** A route as Fastify registers it. */
export interface FastifyRoute {
  readonly url: string;
  readonly method: string | readonly string[];
  readonly handler: (request: FastifyRequest, reply: unknown) => unknown;
  errorHandler?: (error: unknown, request: unknown, reply: unknown) => void;
}

export interface FastifyRequest {
  readonly method: string;
  readonly url: string;
  params: unknown;
}

interface Operation {
  readonly methods: readonly string[];
  readonly form: RegExp;
  readonly handler: FastifyRoute['handler'];
}

/**
 * Finds operations by their paths once more. Fastify takes a path for unknown that has a parameter of more than a hundred
 * characters, and keys of the cache are longer; or that ends with a slash, and a page is often asked for with one.
 */
export class SecondLook {
  readonly #operations: Operation[] = [];

  add({ url, method, handler }: FastifyRoute): void {
    const form = new RegExp(`^${url.replace(/\/:(\w+)/g, '/(?<$1>[^/]+)')}/?$`);
    this.#operations.push({ methods: [method].flat(), form, handler });
  }

  /** False when it is no operation after all. */
  answer(request: FastifyRequest, reply: unknown): boolean {
    const [path = ''] = request.url.split('?');
    for (const { methods, form, handler } of this.#operations) {
      const match = methods.includes(request.method) ? form.exec(path) : null;
      if (match === null) continue;
      const params = Object.entries(match.groups ?? {});
      request.params = Object.fromEntries(params.map(([name, text]) => [name, decodeURIComponent(text)]));
      handler(request, reply);
      return true;
    }
    return false;
  }
}
