import { isUtf8 } from 'node:buffer';
import type { HttpHeaders } from './http-headers.ts';
import { asRecord, type StoredHeader } from './stored-headers.ts';
import { isInNotModified } from './validators.ts';

/** A response as it is kept; times in milliseconds. */
export interface ResponseDraft {
  /** 0: a mark that the last response could not be stored, so that requests need not wait for each other. */
  readonly status: number;
  /** When it was generated, on the clock of the store. */
  readonly generatedAtMs: number;
  /** How old it already was then. */
  readonly ageMs: number;
  readonly freshMs: number;
  readonly revalidateMs: number;
  readonly errorMs: number;
  readonly isStaleForbidden: boolean;
  /** Names its variants, so that they go with it. */
  readonly id: string;
  /** Request headers that chose it, sorted; and what the request said in them. */
  readonly vary: readonly string[];
  readonly variant: string;
  readonly headers: readonly StoredHeader[];
  readonly body: Buffer;
}

const MAGIC = 'KR1';
const LENGTH_DIGITS = 7;
const HEAD_AT = MAGIC.length + LENGTH_DIGITS;

/**
 * A response in bytes: `KR1`, the length of its head in seven digits, the head in Latin-1 as lines (facts, then
 * headers), the body as it is. Made by hand, so that a hit parses nothing and bodies stay the bytes they were.
 */
export function packed(draft: ResponseDraft): Buffer {
  const { status, generatedAtMs, ageMs, freshMs, revalidateMs, errorMs, isStaleForbidden, id, vary, variant } = draft;
  const facts = [status, generatedAtMs, ageMs, freshMs, revalidateMs, errorMs, Number(isStaleForbidden), id];
  const lines = [facts.join(' '), vary.join(','), variant, ...draft.headers.flatMap(linesOf)];
  const head = Buffer.from(lines.join('\n'), 'latin1');
  const lead = Buffer.from(MAGIC + String(head.length).padStart(LENGTH_DIGITS, '0'), 'latin1');
  return Buffer.concat([lead, head, draft.body]);
}

const linesOf = ([name, value]: StoredHeader): string[] =>
  (typeof value === 'string' ? [value] : value).map((one) => `${name}:${one}`);

/** The response in these bytes, or undefined for bytes that `packed` did not make. */
export function unpacked(bytes: unknown): StoredResponse | undefined {
  if (!Buffer.isBuffer(bytes)) return undefined;
  const lead = bytes.toString('latin1', 0, HEAD_AT);
  if (!lead.startsWith(MAGIC)) return undefined;
  const bodyAt = HEAD_AT + Number(lead.slice(MAGIC.length));
  if (!(bodyAt <= bytes.length)) return undefined;
  const [facts = '', vary, variant, ...headers] = bytes.toString('latin1', HEAD_AT, bodyAt).split('\n');
  const parts = facts.split(' ');
  const numbers = parts.slice(0, 7).map(Number);
  if (variant === undefined || parts.length !== 8 || !numbers.every((number) => number >= 0)) return undefined;
  const [status, generatedAtMs, ageMs, freshMs, revalidateMs, errorMs, forbidden] = numbers as Facts;
  // Written out: V8 takes microseconds to make an object that begins with a spread of numbers.
  return new StoredResponse({
    status,
    generatedAtMs,
    ageMs,
    freshMs,
    revalidateMs,
    errorMs,
    isStaleForbidden: forbidden === 1,
    id: parts[7] ?? '',
    vary: vary === '' || vary === undefined ? [] : vary.split(','),
    variant,
    headers: headersOf(headers),
    body: bytes.subarray(bodyAt),
  });
}

type Facts = [number, number, number, number, number, number, number];

/** Values of one name stand on lines that follow each other. */
function headersOf(lines: readonly string[]): StoredHeader[] {
  const headers: [name: string, value: string | string[]][] = [];
  for (const line of lines) {
    const at = line.indexOf(':');
    const [name, value] = [line.slice(0, at), line.slice(at + 1)];
    const last = headers.at(-1);
    if (last?.[0] === name) last[1] = [last[1], value].flat();
    else headers.push([name, value]);
  }
  return headers;
}

/** Bodies up to here are also kept as text, which Node sends together with the head, in one write. */
const MAX_TEXT_BYTES = 64 * 1024;
const TEXTUAL = /^text\/|[/+](?:json|xml|javascript)\b/;

/** A response out of the store, with what every hit needs made once. */
export class StoredResponse {
  /** Its headers by name. */
  readonly record: HttpHeaders;
  private content: string | Buffer | undefined;
  private short: readonly StoredHeader[] | undefined;

  constructor(readonly draft: ResponseDraft) {
    this.record = asRecord(draft.headers);
  }

  /** Whether it only says that there is nothing to store. */
  get isMark(): boolean {
    return this.draft.status === 0;
  }

  ageAt(nowMs: number): number {
    return Math.max(0, nowMs - this.draft.generatedAtMs) + this.draft.ageMs;
  }

  /** The body to send: text where it is text, byte for byte the same. */
  get sendable(): string | Buffer {
    return (this.content ??= this.isText() ? this.draft.body.toString() : this.draft.body);
  }

  /** The headers of a 304 that stands for it. */
  get notModified(): readonly StoredHeader[] {
    return (this.short ??= this.draft.headers.filter(([name]) => isInNotModified(name)));
  }

  private isText(): boolean {
    const { body } = this.draft;
    const type = this.record['content-type'];
    return body.length <= MAX_TEXT_BYTES && typeof type === 'string' && TEXTUAL.test(type) && isUtf8(body);
  }
}

/** Responses that are held in memory, each unpacked once. */
export class UnpackedResponses {
  private readonly byBytes = new WeakMap<Buffer, StoredResponse>();

  /** @param bytes the same ones for every request: what comes from the server each time is not worth remembering */
  of(bytes: unknown): StoredResponse | undefined {
    if (!Buffer.isBuffer(bytes)) return undefined;
    const known = this.byBytes.get(bytes);
    if (known !== undefined) return known;
    const response = unpacked(bytes);
    if (response !== undefined) this.byBytes.set(bytes, response);
    return response;
  }
}
