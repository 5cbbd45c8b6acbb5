import { randomUUID } from 'node:crypto';
import { isStoreFailure } from '../common/errors.ts';
import type { LeveledLogger } from '../common/leveled-logger.ts';
import type { RedisDoor } from '../redis/availability.types.ts';
import type { RedisClient } from '../redis/redis.client.ts';
import type { AdminAction } from './admin.options.ts';

/** Who did what, and what came of it; refused acts, too. */
export interface AuditRecord {
  readonly id: string;
  /** ISO date. */
  readonly at: string;
  readonly actor: string;
  readonly action: AdminAction;
  readonly target: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly dryRun: boolean;
  readonly affected: number | null;
  readonly reason: string | null;
  readonly ip: string | null;
  readonly requestId: string | null;
  /** `done`, or the code of the problem. */
  readonly outcome: string;
}

export type AuditEntry = Omit<AuditRecord, 'id' | 'at'>;

export interface AuditFilter {
  readonly actor?: string | undefined;
  readonly action?: string | undefined;
}

export interface AuditPage {
  readonly items: readonly AuditRecord[];
  readonly next: string | null;
}

const KEPT_IN_MEMORY = 1_000;
const KEPT_ON_SERVER = 10_000;
const READ_AT_ONCE = 200;
const MAX_READS = 10;
const FIELD = 'record';

/** Where records are kept for all instances; without a server, and while it is away, the last thousand of this one. */
export class AuditTrail {
  #recent: AuditRecord[] = [];
  /** Dry runs: they are sent along with what is done next, because looking must not write. */
  #unsent: AuditRecord[] = [];

  /** @param door undefined in memory mode */
  constructor(
    private readonly stream: string,
    private readonly door: RedisDoor | undefined,
    private readonly logger: Pick<LeveledLogger, 'log' | 'warn'>,
  ) {}

  /** Whether a record would be kept for all instances now; in memory mode it always is. */
  async isReady(): Promise<boolean> {
    try {
      await this.door?.execute('audit.check', (client) => client.exists(this.stream), this.stream);
      return true;
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      return false;
    }
  }

  async record(entry: AuditEntry): Promise<AuditRecord> {
    const record: AuditRecord = { id: randomUUID(), at: new Date().toISOString(), ...entry };
    this.#recent = [record, ...this.#recent].slice(0, KEPT_IN_MEMORY);
    this.logger.log(JSON.stringify(record));
    this.#unsent = [...this.#unsent, record].slice(-KEPT_IN_MEMORY);
    if (!record.dryRun) await this.send();
    return record;
  }

  /** Has the server keep what it does not have yet. */
  async send(): Promise<void> {
    const { door } = this;
    const records = this.#unsent;
    this.#unsent = [];
    if (door === undefined) return;
    try {
      for (const record of records) {
        await door.execute('audit.add', (client) => add(client, this.stream, record), this.stream);
      }
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      this.#unsent = [...records, ...this.#unsent].slice(-KEPT_IN_MEMORY);
      this.logger.warn(`Audit records are in this process only, until the next one: ${error.code}`);
    }
  }

  /** Newest first. @param from where the last page ended */
  async list(from: string | undefined, limit: number, filter: AuditFilter): Promise<AuditPage> {
    if (this.door === undefined) return this.#inMemory(from, limit, filter);
    try {
      const page = await this.#onServer(this.door, from, limit, filter);
      return from === undefined ? this.#withUnsent(page, limit, filter) : page;
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      return this.#inMemory(from, limit, filter);
    }
  }

  #inMemory(from: string | undefined, limit: number, filter: AuditFilter): AuditPage {
    const start = from === undefined ? 0 : this.#recent.findIndex(({ id }) => id === from) + 1;
    const items = this.#recent.slice(start).filter((record) => fits(record, filter));
    return { items: items.slice(0, limit), next: items.length > limit ? (items[limit - 1]?.id ?? null) : null };
  }

  /** Those of this instance that the server does not have yet are the newest. */
  #withUnsent(page: AuditPage, limit: number, filter: AuditFilter): AuditPage {
    const unsent = this.#unsent.filter((record) => fits(record, filter)).reverse();
    const known = new Set(page.items.map(({ id }) => id));
    const items = [...unsent.filter(({ id }) => !known.has(id)), ...page.items];
    return { items: items.slice(0, Math.max(limit, unsent.length)), next: page.next };
  }

  async #onServer(door: RedisDoor, from: string | undefined, limit: number, filter: AuditFilter): Promise<AuditPage> {
    const items: AuditRecord[] = [];
    let end = from === undefined || !STREAM_ID.test(from) ? '+' : `(${from}`;
    for (let reads = 0; reads < MAX_READS; reads++) {
      const read = (client: RedisClient) => client.xrevrange(this.stream, end, '-', 'COUNT', READ_AT_ONCE);
      const rows = await door.execute('audit.read', read, this.stream);
      for (const [id, fields] of rows) {
        end = `(${id}`;
        const record = parsed(fields[1]);
        if (record !== undefined && fits(record, filter)) items.push(record);
        if (items.length === limit) return { items, next: id };
      }
      if (rows.length < READ_AT_ONCE) return { items, next: null };
    }
    return { items, next: end.slice(1) };
  }
}

const STREAM_ID = /^\d+-\d+$/;

const add = (client: RedisClient, stream: string, record: AuditRecord): Promise<unknown> =>
  client.xadd(stream, 'MAXLEN', '~', KEPT_ON_SERVER, '*', FIELD, JSON.stringify(record));

const fits = (record: AuditRecord, { actor, action }: AuditFilter): boolean =>
  (actor === undefined || record.actor === actor) && (action === undefined || record.action === action);

function parsed(text = ''): AuditRecord | undefined {
  try {
    return JSON.parse(text) as AuditRecord;
  } catch {
    return undefined;
  }
}
