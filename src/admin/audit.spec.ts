import { StoreUnavailableError } from '../common/errors.ts';
import type { RedisDoor } from '../redis/availability.types.ts';
import { type AuditEntry, AuditTrail } from './audit.ts';

const entry = (more: Partial<AuditEntry> = {}): AuditEntry => ({
  ...{ actor: 'ann', action: 'invalidate', target: 'key a', params: {}, dryRun: false, affected: 1 },
  ...{ reason: null, ip: null, requestId: null, outcome: 'done' },
  ...more,
});

/** A server that can be away: what it was given, oldest first. */
class Stream {
  readonly records: string[] = [];
  isAway = false;

  readonly door = {
    execute: async (_: string, command: (client: unknown) => Promise<unknown>) => {
      if (this.isAway) throw new StoreUnavailableError('audit', 'away');
      return command({
        xadd: async (...args: string[]) => this.records.push(args.at(-1)!),
        exists: async () => 1,
        xrevrange: async () => this.records.map((record, id) => [`${id}-0`, ['record', record]]).reverse(),
      });
    },
  } as unknown as RedisDoor;

  get targets(): string[] {
    return this.records.map((record) => (JSON.parse(record) as AuditEntry).target);
  }
}

let stream: Stream;
let trail: AuditTrail;
let lines: string[];
beforeEach(() => {
  stream = new Stream();
  lines = [];
  const log = (line: string) => void lines.push(line);
  trail = new AuditTrail('audit', stream.door, { log, warn: log });
});
const listed = async (filter = {}) => (await trail.list(undefined, 10, filter)).items.map(({ target }) => target);

it('has the server keep acts at once, and looks with the next act', async () => {
  await trail.record(entry({ target: 'a look', dryRun: true }));
  expect(stream.targets).toEqual([]);
  expect(await listed()).toEqual(['a look']);
  await trail.record(entry({ target: 'an act' }));
  expect(stream.targets).toEqual(['a look', 'an act']);
  expect(await listed()).toEqual(['an act', 'a look']);
});

it('keeps what the server could not be told until it answers again', async () => {
  stream.isAway = true;
  expect(await trail.isReady()).toBe(false);
  await trail.record(entry({ target: 'one' }));
  expect(lines.at(-1)).toContain('KEEP_STORE_UNAVAILABLE');
  expect(await listed()).toEqual(['one']);
  stream.isAway = false;
  expect(await trail.isReady()).toBe(true);
  await trail.record(entry({ target: 'two' }));
  expect(stream.targets).toEqual(['one', 'two']);
});

it('finds acts by actor and by action', async () => {
  await trail.record(entry({ target: 'one' }));
  await trail.record(entry({ target: 'two', actor: 'bob' }));
  await trail.record(entry({ target: 'three', action: 'lock' }));
  expect(await listed({ actor: 'bob' })).toEqual(['two']);
  expect(await listed({ action: 'lock' })).toEqual(['three']);
});

it('writes each record into the log as one line', async () => {
  await trail.record(entry({ reason: 'a\nb\u001b[31m' }));
  expect(lines).toHaveLength(1);
  for (const character of ['\n', '\u001b']) expect(lines[0]).not.toContain(character);
});
