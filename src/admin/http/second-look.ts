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
    const found = this.#operations.find(({ methods, form }) => methods.includes(request.method) && form.test(path));
    if (found === undefined) return false;
    const params = Object.entries(found.form.exec(path)?.groups ?? {});
    request.params = Object.fromEntries(params.map(([name, text]) => [name, decodeURIComponent(text)]));
    found.handler(request, reply);
    return true;
  }
}
