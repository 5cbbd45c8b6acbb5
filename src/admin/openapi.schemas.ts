import { ADMIN_ACTIONS } from './admin.options.ts';
import { WANTED_STATES } from './breaker-desk.ts';

type Schema = object;

/** Everything is there unless it is named as optional, and nothing else is. */
function object(properties: Readonly<Record<string, Schema>>, ...optional: readonly string[]): Schema {
  const required = Object.keys(properties).filter((name) => !optional.includes(name));
  return { type: 'object', properties, required, additionalProperties: false };
}
const ref = (name: string): Schema => ({ $ref: `#/components/schemas/${name}` });
const list = (items: Schema): Schema => ({ type: 'array', items });
const orNull = (type: string): Schema => ({ type: [type, 'null'] });
const page = (name: string): Schema => object({ items: list(ref(name)), nextCursor: orNull('string') });

const text: Schema = { type: 'string' };
const date: Schema = { type: 'string', format: 'date-time' };
const count: Schema = { type: 'integer', minimum: 0 };
const amount: Schema = { type: 'number', minimum: 0 };
const share: Schema = { type: 'number', minimum: 0, maximum: 1 };
const flag: Schema = { type: 'boolean' };
const reason: Schema = { type: 'string', minLength: 3, maxLength: 200 };
const action: Schema = ref('Action');
const breakerState: Schema = { enum: ['closed', 'open', 'half-open', 'forced-open', 'disabled'] };

const reads = {
  ...{ hits: count, misses: count, stale: count, bypass: count, errors: count, loads: count, coalesced: count },
  ...{ hitRatio: share, throughput: amount, p50Ms: amount, p95Ms: amount, p99Ms: amount, bytes: orNull('integer') },
};

export const SCHEMAS: Readonly<Record<string, Schema>> = {
  Action: { enum: [...ADMIN_ACTIONS] },
  Status: object({
    ...{ instance: text, version: text, uptimeSeconds: count, mode: { enum: ['redis', 'memory', 'degraded'] } },
    redis: object({
      state: { enum: ['none', 'healthy', 'degraded', 'recovering'] },
      latencyMs: orNull('number'),
      version: orNull('string'),
      topology: { enum: ['none', 'standalone', 'sentinel', 'cluster'] },
    }),
    tiers: object({
      l1: object({ entries: count, bytes: count, maxEntries: count }),
      l2: { oneOf: [object({ entries: count, bytes: count }), { type: 'null' }] },
    }),
    ...{ journal: count, since: date, reason: orNull('string') },
    ...{ values: { enum: ['hidden', 'preview', 'full'] }, permissions: list(action) },
  }),
  Stats: object(
    {
      ...{ scope: { const: 'instance' }, window: { enum: ['1m', '5m', '1h'] }, ...reads },
      groups: list(object({ name: text, ...reads })),
    },
    'groups',
  ),
  Namespace: object(
    {
      ...{ name: text, handler: text, ttl: text, grace: text },
      ...{ entriesL1: count, hitRatio: share, p99Ms: amount },
    },
    'handler',
  ),
  NamespaceList: object({ items: list(ref('Namespace')) }),
  KeyMeta: object({
    ...{ key: text, namespace: text, type: text, ttlMs: orNull('integer'), bytes: orNull('integer') },
    ...{ tier: list({ enum: ['l1', 'l2'] }), stale: flag, tags: list(text) },
  }),
  KeyPage: object({ items: list(ref('KeyMeta')), nextCursor: orNull('string'), scanned: count, complete: flag }),
  KeyValue: object({ key: text, value: {} }),
  KeyChange: {
    oneOf: [object({ ttlMs: { type: 'integer', minimum: 1 } }), object({ stale: { const: true } })],
  },
  InvalidationRequest: object(
    {
      by: { enum: ['key', 'keys', 'pattern', 'tag', 'namespace', 'path', 'all'] },
      value: { oneOf: [text, { type: 'array', items: text, maxItems: 1_000 }] },
      mode: { enum: ['delete', 'expire'], default: 'delete' },
      dryRun: { type: 'boolean', description: 'true by default for pattern, namespace and all' },
      reason: { ...reason, description: 'required for all' },
      confirm: { type: 'string', description: 'from the dry run, good for a minute' },
      maxKeys: { type: 'integer', minimum: 1, maximum: 100_000, default: 10_000 },
    },
    ...['value', 'mode', 'dryRun', 'reason', 'confirm', 'maxKeys'],
  ),
  InvalidationResult: object(
    {
      ...{ dryRun: flag, matched: count, affected: count, sample: { type: 'array', items: text, maxItems: 20 } },
      ...{ truncated: flag, confirm: text, l1: { enum: ['dropped', 'pending'] } },
    },
    ...['confirm', 'l1'],
  ),
  Job: object(
    {
      ...{ id: text, state: { enum: ['running', 'done', 'failed', 'cancelled'] } },
      ...{ scanned: count, affected: count, error: text },
    },
    'error',
  ),
  Lock: object({ name: text, holder: orNull('string'), tokenHash: text, ttlMs: count, waiters: count }),
  LockPage: page('Lock'),
  LockClearing: object(
    { pattern: text, reason, confirm: { const: true, description: 'for a pattern of nothing but *' } },
    'confirm',
  ),
  LocksCleared: object({ cleared: count }),
  Limit: object({
    ...{ policy: text, subjectHash: orNull('string'), used: orNull('integer'), limit: orNull('integer') },
    ...{ resetMs: orNull('integer'), blocked: orNull('boolean') },
  }),
  LimitList: object({ items: list(ref('Limit')) }),
  Breaker: object({
    ...{ name: text, state: breakerState, opensAtMs: orNull('integer'), nextTryMs: orNull('integer') },
    stats: object({
      ...{ fires: count, successes: count, failures: count, timeouts: count, rejects: count, fallbacks: count },
      ...{ p50Ms: amount, p99Ms: amount },
    }),
    config: { type: 'object' },
  }),
  BreakerList: object({ items: list(ref('Breaker')) }),
  BreakerState: object(
    {
      state: { enum: [...WANTED_STATES] },
      ttlMs: { type: 'integer', minimum: 1_000, maximum: 86_400_000, description: 'then it decides again' },
      ...{ scope: { enum: ['instance', 'cluster'], default: 'instance' }, reason },
    },
    ...['ttlMs', 'scope'],
  ),
  BreakerChange: object({ previous: breakerState, current: breakerState, acks: list(text) }),
  BreakerEvent: object({
    ...{ id: count, atMs: count, name: text, from: breakerState, to: breakerState, reason: text },
  }),
  BreakerEventPage: page('BreakerEvent'),
  AuditRecord: object({
    ...{ id: text, at: date, actor: text, action, target: text, params: { type: 'object' }, dryRun: flag },
    ...{ affected: orNull('integer'), reason: orNull('string'), ip: orNull('string'), requestId: orNull('string') },
    outcome: text,
  }),
  AuditPage: page('AuditRecord'),
  Reason: object({ reason }, 'reason'),
  EventStream: { type: 'string' },
  Problem: object(
    {
      ...{ type: { const: 'about:blank' }, title: text, status: { type: 'integer' }, code: text, detail: text },
      errors: list(text),
    },
    'errors',
  ),
};
