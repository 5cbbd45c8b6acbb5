export type Json = Record<string, unknown>;

/** What the API refused, in its own words. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    detail: string,
  ) {
    super(detail);
  }
}

/** Talks to the API beside the page. */
export class Api {
  readonly #base = `${location.pathname.replace(/\/?$/, '/')}api/`;
  #lastId = '';

  constructor(public token: string) {}

  get(path: string): Promise<Json> {
    return this.send('GET', path);
  }

  async send(method: string, path: string, body?: Json): Promise<Json> {
    const response = await this.#fetch(path, { method, ...(body && { body: JSON.stringify(body) }) });
    const text = await response.text();
    return text === '' ? {} : (JSON.parse(text) as Json);
  }

  /** Resolves when the stream ends. */
  async stream(path: string, heed: (type: string, data: string) => void): Promise<void> {
    const response = await this.#fetch(path, { headers: this.#lastId === '' ? {} : { 'last-event-id': this.#lastId } });
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
    let rest = '';
    for (let next = await reader?.read(); next?.done === false; next = await reader?.read()) {
      const parts = (rest + next.value).split('\n\n');
      rest = parts.pop() ?? '';
      for (const part of parts) this.#deliver(part, heed);
    }
  }

  /** A key as it stands in a path. */
  encode(key: string): string {
    const bytes = String.fromCharCode(...new TextEncoder().encode(key));
    return btoa(bytes).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '');
  }

  #deliver(part: string, heed: (type: string, data: string) => void): void {
    const field = (name: string) => new RegExp(`^${name}: (.*)$`, 'm').exec(part)?.[1];
    this.#lastId = field('id') ?? this.#lastId;
    const [type, data] = [field('event'), field('data')];
    if (type !== undefined && data !== undefined) heed(type, data);
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const headers = {
      ...(init.headers as Record<string, string>),
      ...(this.token !== '' && { authorization: `Bearer ${this.token}` }),
      ...(init.body !== undefined && { 'content-type': 'application/json' }),
    };
    const response = await fetch(this.#base + path, { ...init, headers });
    if (response.ok) return response;
    const { detail } = (await response.json().catch(() => ({}))) as { detail?: string };
    throw new Problem(response.status, detail ?? `The server answers ${response.status}`);
  }
}
