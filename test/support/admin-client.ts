import type { INestApplication } from '@nestjs/common';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import request from 'supertest';
import type { App } from 'supertest/types.js';
import { openApiDocument } from '../../src/admin/openapi.ts';

export const ADMIN_TOKEN = 'a-long-admin-token';

export interface AdminAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  readonly body: Record<string, unknown>;
}

export type AdminMethod = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

// Compiled once for all clients of a spec file: that takes longer than most requests.
const API = openApiDocument() as Document;
const AJV = new Ajv2020({ strict: false, validateFormats: false });
const validators = new Map<string, ValidateFunction>();

/** Talks to the admin API as its document says, and holds every answer against that document. */
export class AdminClient {
  constructor(
    private readonly app: INestApplication<App>,
    private readonly token: string | null = ADMIN_TOKEN,
    private readonly base = '/cache/admin/api',
  ) {}

  get(path: string): Promise<AdminAnswer> {
    return this.send('GET', path);
  }

  /** With the body that a wide invalidation needs, from its dry run. */
  async confirmed(body: Record<string, unknown>): Promise<AdminAnswer> {
    const { body: dry } = await this.send('POST', '/invalidations', { ...body, dryRun: true });
    return this.send('POST', '/invalidations', { ...body, confirm: dry['confirm'] });
  }

  async send(
    method: AdminMethod,
    path: string,
    body?: unknown,
    headers: Record<string, string> = {},
  ): Promise<AdminAnswer> {
    const verb = method.toLowerCase() as 'get';
    const agent = request(this.app.getHttpServer());
    const call = agent[verb](this.base + path).set(headers);
    if (this.token !== null) void call.set('authorization', `Bearer ${this.token}`);
    const answer = await (body === undefined ? call : call.send(body as object));
    this.#check(method, path, answer);
    return answer;
  }

  #check(method: AdminMethod, path: string, { status, headers, body }: AdminAnswer): void {
    const [bare = ''] = path.split('?');
    const found = Object.entries(API.paths).find(([template]) => formOf(template).test(bare));
    const responses = found?.[1][method.toLowerCase()]?.responses;
    if (responses === undefined) return;
    const documented = responses[String(status)];
    if (documented === undefined) throw new Error(`${method} ${bare} answers ${status}, which is not documented`);
    const [type, content] = Object.entries(documented.content ?? {})[0] ?? [];
    if (content === undefined || type === undefined) return;
    if (!(headers['content-type'] ?? '').startsWith(type)) throw new Error(`${headers['content-type']} is not ${type}`);
    const validate = validatorOf(content.schema.$ref);
    if (!validate(body)) throw new Error(`${method} ${bare} ${status}: ${AJV.errorsText(validate.errors)}`);
  }
}

function validatorOf(reference: string): ValidateFunction {
  const known = validators.get(reference);
  if (known !== undefined) return known;
  const made = AJV.compile({ $ref: reference, components: API.components });
  validators.set(reference, made);
  return made;
}

interface Document {
  readonly paths: Record<string, Record<string, { readonly responses: Record<string, Response> }>>;
  readonly components: object;
}
interface Response {
  readonly content?: Record<string, { readonly schema: { readonly $ref: string } }>;
}

const formOf = (template: string): RegExp => new RegExp(`^${template.replace(/\{\w+\}/g, '[^/]+')}$`);

export const keyPath = (key: string): string => `/keys/${Buffer.from(key).toString('base64url')}`;
