import { openApiDocument } from '../../src/admin/openapi.ts';
import type { AdminClient, AdminMethod } from './admin-client.ts';

interface Operation {
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: {
    readonly content: { readonly 'application/json': { readonly schema: { readonly $ref: string } } };
  };
}

/** Texts that somebody might try to get out of the prefix of the application with. */
const HOSTILE = ['*', '**', '../*', '*:v1:*', '\\*', '[a-z]*', '{app}', 'other:v1:a', 'app', ' ', '\n*'];
const reason = 'because';
const wide = (by: string) => HOSTILE.map((value) => ({ by, value }));

/** For each schema of a body: what may reach the furthest. */
const BODIES: Readonly<Record<string, readonly object[]>> = {
  InvalidationRequest: [
    ...['pattern', 'namespace', 'tag', 'path', 'key'].flatMap(wide),
    { by: 'keys', value: HOSTILE },
    { by: 'pattern', value: '*', mode: 'expire' },
    { by: 'all', mode: 'expire', reason },
    { by: 'all', reason },
  ],
  KeyChange: [{ ttlMs: 1 }, { stale: true }],
  LockClearing: HOSTILE.map((pattern) => ({ pattern, reason, confirm: true })),
  BreakerState: [{ state: 'forced-open', reason, scope: 'cluster' }],
  Reason: [{ reason }],
};

/** Without an end of its own. */
const STREAM = '/events';
const NOTHING: readonly undefined[] = [undefined];

/**
 * Asks every operation that the document of the admin API has for what it could do worst. Answers with the statuses
 * that were seen, by operation.
 */
export async function walkTheAdminApi(admin: AdminClient): Promise<Map<string, Set<number>>> {
  const seen = new Map<string, Set<number>>();
  const { paths } = openApiDocument() as { paths: Record<string, Record<string, Operation>> };
  let caller = 0;
  const send = async (method: AdminMethod, path: string, body?: object) => {
    caller += 1;
    // An address of its own: it is not the number of requests that this is about.
    const answer = await admin.send(method, path, body, { 'x-forwarded-for': `10.1.${caller >> 8}.${caller & 255}` });
    if (answer.status === 429 || answer.status >= 500) throw new Error(`${method} ${path}: ${answer.text}`);
    return answer;
  };
  for (const [template, operations] of Object.entries(paths)) {
    if (template === STREAM) continue;
    for (const [verb, operation] of Object.entries(operations)) {
      const method = verb.toUpperCase() as AdminMethod;
      const statuses = new Set<number>();
      seen.set(`${method} ${template}`, statuses);
      for (const path of pathsOf(template, operation)) {
        for (const body of bodiesOf(operation)) {
          const answer = await send(method, path, body);
          statuses.add(answer.status);
          const { confirm } = answer.body as { confirm?: unknown };
          if (confirm !== undefined)
            statuses.add((await send(method, path, { ...body, dryRun: false, confirm })).status);
        }
      }
    }
  }
  return seen;
}

function pathsOf(template: string, { parameters = [] }: Operation): string[] {
  const places = parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name);
  const queries = parameters.filter((parameter) => parameter.in === 'query').map(({ name }) => name);
  const filled = (value: string) =>
    places.reduce((path, name) => path.replace(`{${name}}`, name === 'key' ? base64(value) : encoded(value)), template);
  if (places.length > 0) return HOSTILE.map(filled);
  const asked = queries.filter((name) => ['namespace', 'match', 'policy', 'subject'].includes(name));
  return [template, ...asked.flatMap((name) => HOSTILE.map((value) => `${template}?${name}=${encoded(value)}`))];
}

function bodiesOf({ requestBody }: Operation): readonly (object | undefined)[] {
  if (requestBody === undefined) return NOTHING;
  const name = requestBody.content['application/json'].schema.$ref.split('/').at(-1) ?? '';
  const bodies = BODIES[name];
  if (bodies === undefined) throw new Error(`There is nothing to send as ${name}`);
  return bodies;
}

const base64 = (text: string): string => Buffer.from(text).toString('base64url');
/** A client would resolve dots. */
const encoded = (text: string): string => encodeURIComponent(text).replaceAll('.', '%2E');
