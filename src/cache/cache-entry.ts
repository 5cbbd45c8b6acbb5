import { isText } from '../common/codec.ts';

/**
 * How an entry looks on the server: one string, a fixed-width ASCII header and the payload, so that scripts read the
 * header with GETRANGE and anybody's DEL takes the lease away together with the value. Byte positions:
 *
 *   0 magic ~1 · 2 kind (V value, L lease only) · 3 waiting 0/1 · 4 lease token (32) · 36 lease until (13)
 *   · 49 fresh until (13) · 62 kept until (13) · 75 version (16) · 91 cost (6) · 97 codec (1) · 98 length of the stamps (5)
 *   · 103 stamps · payload
 *
 * Times are milliseconds of the server's clock, the version is microseconds of it. A lease-only entry ends after the
 * lease. The scripts in cache.lua.ts build and read the same positions.
 */
const STAMPS_AT = 98;
const HEADER_BYTES = 103;
const MAGIC_0 = '~'.charCodeAt(0);
const MAGIC_1 = '1'.charCodeAt(0);
const VALUE = 'V'.charCodeAt(0);
const LEASE = 'L'.charCodeAt(0);
const ZERO = '0'.charCodeAt(0);
const MAX_COST_MS = 999_999;
const NO_COST = '000000';

/** What an entry's validity hangs on, as `[name, version]`: its tags and the epochs of its scopes. */
export type Stamps = readonly (readonly [name: string, version: string])[];

/** What the writer of an entry decides; the store adds version and times of its own clock. */
export interface EntryDraft {
  /** Letter of the codec that made the payload. */
  readonly codec: string;
  readonly payload: string | Buffer;
  /** How long it is fresh. */
  readonly ttlMs: number;
  /** How long it is kept: TTL and grace. */
  readonly keepMs: number;
  /** How long the factory took. */
  readonly costMs: number;
  readonly stamps: Stamps;
}

export interface CacheEntry extends Pick<EntryDraft, 'codec' | 'payload' | 'costMs' | 'stamps'> {
  /** Grows with every write of the key; compared, never computed with. */
  readonly version: string;
  readonly freshUntilMs: number;
  readonly keptUntilMs: number;
}

/** What a key was found to hold. `foreign`: text that another program wrote. */
export type Found =
  | { readonly kind: 'absent' }
  | { readonly kind: 'entry'; readonly entry: CacheEntry }
  | { readonly kind: 'foreign'; readonly text: Buffer }
  | { readonly kind: 'corrupt' };

export const ABSENT: Found = { kind: 'absent' };
const CORRUPT: Found = { kind: 'corrupt' };

/** What stands between the version and the payload. */
export function encodeHead({ codec, costMs, stamps }: Pick<EntryDraft, 'codec' | 'costMs' | 'stamps'>): string {
  const cost = Math.min(Math.round(costMs), MAX_COST_MS);
  return (cost === 0 ? NO_COST : digits(cost, 6)) + codec + textOf(stamps);
}

/** Everything behind the version. */
export function encodeBody(draft: Pick<EntryDraft, 'codec' | 'payload' | 'costMs' | 'stamps'>): string | Buffer {
  const { payload } = draft;
  const head = encodeHead(draft);
  return typeof payload === 'string' ? head + payload : Buffer.concat([Buffer.from(head), payload]);
}

/** The stamps of the last entry and their text: those of one turn are mostly the same ones. */
let written: { readonly stamps: Stamps; readonly text: string } = { stamps: [], text: '00002[]' };

function textOf(stamps: Stamps): string {
  if (stamps !== written.stamps) {
    const text = JSON.stringify(stamps);
    written = { stamps, text: digits(Buffer.byteLength(text), 5) + text };
  }
  return written.text;
}

/** Reads what the server holds under a key. Never throws: bytes that only look like an entry are `corrupt`. */
export function decodeEntry(raw: Buffer): Found {
  if (raw[0] !== MAGIC_0 || raw[1] !== MAGIC_1) return { kind: 'foreign', text: raw };
  if (raw[2] === LEASE) return ABSENT;
  if (raw[2] !== VALUE || raw.length < HEADER_BYTES) return CORRUPT;
  const payloadAt = HEADER_BYTES + numberAt(raw, STAMPS_AT, HEADER_BYTES);
  const freshUntilMs = numberAt(raw, 49, 62);
  const keptUntilMs = numberAt(raw, 62, 75);
  if (!(payloadAt <= raw.length) || !(freshUntilMs <= keptUntilMs)) return CORRUPT;
  const stamps = stampsIn(raw, payloadAt);
  return stamps === undefined
    ? CORRUPT
    : { kind: 'entry', entry: new StoredEntry(raw, payloadAt, freshUntilMs, keptUntilMs, stamps) };
}

/** An entry as it was read. */
class StoredEntry implements CacheEntry {
  readonly codec: string;
  readonly payload: string | Buffer;
  readonly costMs: number;

  constructor(
    private readonly raw: Buffer,
    payloadAt: number,
    readonly freshUntilMs: number,
    readonly keptUntilMs: number,
    readonly stamps: Stamps,
  ) {
    this.costMs = numberAt(raw, 91, 97);
    this.codec = String.fromCharCode(raw[97] ?? 0);
    this.payload = isText(this.codec) ? raw.toString('utf8', payloadAt) : raw.subarray(payloadAt);
  }

  /** Made when it is asked for: whoever serves the entry has no use for it. */
  get version(): string {
    return this.raw.toString('latin1', 75, 91);
  }
}

/** Digits as a number; NaN where there is anything else. */
function numberAt(raw: Buffer, from: number, to: number): number {
  let value = 0;
  for (let at = from; at < to; at++) {
    const digit = (raw[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  return value;
}

/** Most entries of a process carry the same stamps (no tags, one epoch): the last ones parsed are kept. */
let last: { readonly bytes: Buffer; readonly stamps: Stamps } = { bytes: Buffer.from('00002[]'), stamps: [] };

function stampsIn(raw: Buffer, end: number): Stamps | undefined {
  if (isAt(raw, STAMPS_AT, last.bytes) && last.bytes.length === end - STAMPS_AT) return last.stamps;
  try {
    const stamps: unknown = JSON.parse(raw.toString('utf8', HEADER_BYTES, end));
    if (!Array.isArray(stamps)) return undefined;
    last = { bytes: Buffer.from(raw.subarray(STAMPS_AT, end)), stamps: stamps as Stamps };
    return last.stamps;
  } catch {
    return undefined;
  }
}

/** Byte by byte: for so few of them, any call that leaves JavaScript costs more. */
function isAt(raw: Buffer, at: number, bytes: Buffer): boolean {
  for (let index = 0; index < bytes.length; index++) if (raw[at + index] !== bytes[index]) return false;
  return true;
}

const digits = (value: number, width: number): string => String(value).padStart(width, '0');
