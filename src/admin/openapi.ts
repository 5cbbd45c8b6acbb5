import { SCHEMAS } from './openapi.schemas.ts';
import { VERSION } from './version.ts';

interface Operation {
  readonly id: string;
  readonly summary: string;
  readonly parameters?: readonly object[];
  /** Name of the schema of the body. */
  readonly body?: string;
  /** By status: a schema's name, or null for an answer without a body. */
  readonly answers: Readonly<Record<string, string | null>>;
  readonly problems?: readonly number[];
}

const ref = (name: string) => ({ $ref: `#/components/schemas/${name}` });
const query = (name: string, schema: object, description: string) => ({ name, in: 'query', schema, description });
const inPath = (name: string, description: string) => ({
  ...{ name, in: 'path', required: true, schema: { type: 'string' }, description },
});
const paging = (max = 1_000) => [
  query('cursor', { type: 'string' }, 'nextCursor of the page before'),
  query('limit', { type: 'integer', minimum: 1, maximum: max, default: 100 }, 'Items of a page'),
];
const window = query('window', { enum: ['1m', '5m', '1h'], default: '5m' }, 'How far back');
const KEY = inPath('key', 'The key in base64url');
const BREAKER = inPath('name', 'Name of the breaker');

/** Refusals that any operation may answer with; those of a body that cannot be read come before all others. */
const ALWAYS = [401, 403, 429];
const CHANGES = [400, ...ALWAYS, 413, 415, 422, 503];

const read = (id: string, summary: string, schema: string, more: Partial<Operation> = {}): Operation => ({
  ...{ id: `cache.${id}`, summary, answers: { 200: schema }, problems: ALWAYS },
  ...more,
});
const change = (
  id: string,
  summary: string,
  answers: Operation['answers'],
  more: Partial<Operation> = {},
): Operation => ({
  ...{ id: `cache.${id}`, summary, answers, problems: CHANGES },
  ...more,
});

const PATHS: Readonly<Record<string, Readonly<Record<string, Operation>>>> = {
  '/status': { get: read('status.get', 'How things stand, and what you may do', 'Status') },
  '/stats': {
    get: read('stats.get', 'Reads of this instance', 'Stats', {
      parameters: [window, query('group', { enum: ['namespace'] }, 'Also by namespace')],
      problems: [...ALWAYS, 422],
    }),
  },
  '/namespaces': {
    get: read('namespaces.list', 'Namespaces and cached methods', 'NamespaceList', { parameters: [window] }),
  },
  '/keys': {
    get: read('keys.list', 'Keys; pages may be empty though others follow, and a key may be on several', 'KeyPage', {
      parameters: [
        query('namespace', { type: 'string' }, 'Only its keys'),
        query('match', { type: 'string' }, 'A glob, within the namespace if there is one'),
        ...paging(),
      ],
      problems: [400, ...ALWAYS, 422, 503],
    }),
  },
  '/keys/{key}': {
    get: read('keys.get', 'A key without its value', 'KeyMeta', { parameters: [KEY], problems: [...ALWAYS, 404, 503] }),
    delete: change('keys.delete', 'Removes a key', { 204: null }, { parameters: [KEY], problems: [...CHANGES, 404] }),
    patch: change(
      'keys.change',
      'Gives a key another time to live, or makes it stale',
      { 200: 'KeyMeta' },
      {
        ...{ parameters: [KEY], body: 'KeyChange', problems: [...CHANGES, 404] },
      },
    ),
  },
  '/keys/{key}/value': {
    get: read('keys.value', 'The value of a key, where the policy shows values', 'KeyValue', {
      ...{ parameters: [KEY], problems: [...ALWAYS, 404, 413, 503] },
    }),
  },
  '/invalidations': {
    post: change(
      'invalidations.create',
      'Removes keys or makes them stale; wide ones show a dry run first',
      {
        ...{ 200: 'InvalidationResult', 202: 'Job' },
      },
      { body: 'InvalidationRequest', problems: [...CHANGES, 409] },
    ),
  },
  '/jobs/{id}': {
    get: read('jobs.get', 'How far a long invalidation of this instance has come', 'Job', {
      ...{ parameters: [inPath('id', 'From Location')], problems: [...ALWAYS, 404] },
    }),
    delete: change(
      'jobs.cancel',
      'Stops it',
      { 202: 'Job' },
      {
        ...{ parameters: [inPath('id', 'From Location')], problems: [...CHANGES, 404] },
      },
    ),
  },
  '/locks': {
    get: read('locks.list', 'Who holds what', 'LockPage', {
      parameters: paging(),
      problems: [400, ...ALWAYS, 422, 503],
    }),
  },
  '/locks/{name}': {
    delete: change(
      'locks.release',
      'Ends a lock whoever holds it',
      { 204: null },
      {
        ...{ parameters: [inPath('name', 'What is locked')], body: 'Reason', problems: [...CHANGES, 404] },
      },
    ),
  },
  '/locks:clear': {
    post: change(
      'locks.clear',
      'Ends all locks that a glob matches',
      { 200: 'LocksCleared' },
      {
        ...{ body: 'LockClearing', problems: [...CHANGES, 409] },
      },
    ),
  },
  '/limits': {
    get: read('limits.list', 'Where a subject stands; without one, the policies', 'LimitList', {
      parameters: [
        query('policy', { type: 'string' }, 'Name of a policy of the module'),
        query('subject', { type: 'string' }, 'Who is counted'),
      ],
      problems: [...ALWAYS, 404, 422, 503],
    }),
  },
  '/limits/{policy}/{subject}': {
    delete: change(
      'limits.reset',
      'Gives a subject its whole quota back',
      { 204: null },
      {
        ...{ parameters: [inPath('policy', 'Name of a policy'), inPath('subject', 'Who is counted')], body: 'Reason' },
        problems: [...CHANGES, 404],
      },
    ),
  },
  '/breakers': { get: read('breakers.list', 'Breakers of this instance', 'BreakerList') },
  '/breakers/{name}': {
    get: read('breakers.get', 'One breaker', 'Breaker', { parameters: [BREAKER], problems: [...ALWAYS, 404] }),
  },
  '/breakers/{name}/state': {
    put: change(
      'breakers.set',
      'Holds a breaker open or closed, or lets it decide again',
      { 200: 'BreakerChange' },
      {
        ...{ parameters: [BREAKER], body: 'BreakerState', problems: [...CHANGES, 404] },
      },
    ),
  },
  '/breakers/{name}/events': {
    get: read('breakers.events', 'What it did, newest first', 'BreakerEventPage', {
      ...{ parameters: [BREAKER, ...paging()], problems: [400, ...ALWAYS, 404, 422] },
    }),
  },
  '/audit': {
    get: read('audit.list', 'Who did what, newest first', 'AuditPage', {
      parameters: [
        ...paging(),
        query('actor', { type: 'string' }, 'Only theirs'),
        query('action', ref('Action'), 'Only such acts'),
      ],
      problems: [400, ...ALWAYS, 422],
    }),
  },
  '/events': {
    get: {
      ...read('events.stream', 'Server-sent events: stats, breaker, invalidation, mode, bye', 'EventStream'),
      parameters: [{ name: 'Last-Event-ID', in: 'header', schema: { type: 'integer' }, description: 'Go on after it' }],
      problems: [...ALWAYS, 503],
    },
  },
};

/** The admin API in OpenAPI 3.1; paths are relative to where this document lies. */
export function openApiDocument(): object {
  return {
    openapi: '3.1.0',
    info: { title: 'nestjs-keep admin API', version: VERSION, license: { name: 'MIT', identifier: 'MIT' } },
    servers: [{ url: '.' }],
    security: [{ token: [] }],
    paths: Object.fromEntries(
      Object.entries(PATHS).map(([path, methods]) => [
        path,
        Object.fromEntries(Object.entries(methods).map(([method, operation]) => [method, described(operation)])),
      ]),
    ),
    components: { schemas: SCHEMAS, securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  };
}

function described({ id, summary, parameters, body, answers, problems = [] }: Operation): object {
  return {
    operationId: id,
    summary,
    ...(parameters && { parameters }),
    ...(body !== undefined && { requestBody: { content: { 'application/json': { schema: ref(body) } } } }),
    responses: {
      ...Object.fromEntries(Object.entries(answers).map(([status, schema]) => [status, answer(schema)])),
      ...Object.fromEntries([...new Set(problems)].sort().map((status) => [String(status), PROBLEM])),
    },
  };
}

const answer = (schema: string | null): object => {
  if (schema === null) return { description: 'Done' };
  const type = schema === 'EventStream' ? 'text/event-stream' : 'application/json';
  return { description: schema, content: { [type]: { schema: ref(schema) } } };
};

const PROBLEM = { description: 'Refused', content: { 'application/problem+json': { schema: ref('Problem') } } };
