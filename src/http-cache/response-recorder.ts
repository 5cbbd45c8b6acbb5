import type { OutgoingHttpHeader, OutgoingHttpHeaders, ServerResponse } from 'node:http';
import type { HttpHeaders } from './http-headers.ts';
import type { StoredHeader } from './stored-headers.ts';

/** The head of a response that is about to be sent. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: HttpHeaders;
  /** Undefined when it comes in pieces. */
  readonly body: Buffer | undefined;
}

/** What becomes of it: sent with other headers, or replaced by another response while the handler's is recorded. */
export type HeadVerdict =
  | { readonly kind: 'send'; readonly set: readonly StoredHeader[]; readonly remove: readonly string[] }
  | {
      readonly kind: 'replace';
      readonly status: number;
      readonly headers: readonly StoredHeader[];
      readonly body: Buffer | undefined;
      /** Whether the handler's is still wanted: one that comes in pieces would be given up by whoever makes it. */
      readonly isRecorded: boolean;
    };

export const AS_IT_IS: HeadVerdict = { kind: 'send', set: [], remove: [] };

/** A response as the handler made it. */
export interface RecordedResponse {
  readonly status: number;
  readonly headers: HttpHeaders;
  /** Undefined when it was too long to be kept. */
  readonly body: Buffer | undefined;
  readonly bytes: number;
  /** Whether it came to its end. */
  readonly isWhole: boolean;
}

export interface RecorderOptions {
  readonly maxBytes: number;
  readonly onHead: (head: ResponseHead) => HeadVerdict;
  /** Has to be through, well or badly, before the client gets the last bytes. */
  readonly beforeEnd?: (recorded: RecordedResponse) => Promise<unknown>;
}

/** How long a handler may still answer a client that is gone, before its response counts as aborted. */
const ORPHANED_MS = 30_000;

/**
 * Listens to a response on its way out: it wraps what writes, outside of everything that has wrapped it before, so that
 * it sees headers and bytes that agree (a compressing middleware changes both on their way from here).
 *
 * The head is held back until the first byte, or until the next tick: a body that is given at once is then known as
 * a whole while headers can still be changed. Nothing else is delayed.
 */
export class ResponseRecorder {
  readonly finished: Promise<RecordedResponse>;
  private readonly body: BodyBuffer;
  private finish!: (isWhole: boolean) => void;
  private head: { readonly status: number; readonly headers: HttpHeaders } | undefined;
  private message: string | undefined;
  private isHeadWritten = false;
  /** Sends what the client gets in place of the handler's response; once. */
  private replacement: (() => void) | undefined;
  private isReplaced = false;
  private isEnding = false;
  private running: Promise<unknown> = Promise.resolve();
  private orphaned: NodeJS.Timeout | undefined;

  constructor(
    private readonly raw: ServerResponse,
    private readonly options: RecorderOptions,
  ) {
    this.body = new BodyBuffer(options.maxBytes);
    this.finished = new Promise((resolve) => {
      this.finish = (isWhole) => {
        clearTimeout(this.orphaned);
        resolve(this.recorded(isWhole));
      };
    });
    this.wrap();
  }

  /** A handler that has outlived its client may answer as long as it runs, and `ORPHANED_MS` more. */
  accompany(running: Promise<unknown>): void {
    this.running = running.catch(() => undefined);
  }

  private wrap(): void {
    const { raw } = this;
    const original = writerOf(raw);
    const passHead = (body?: Buffer): void => this.passHead(body, original);

    raw.writeHead = (status: number, ...rest: unknown[]) => {
      if (this.head !== undefined) return original.writeHead(status, ...rest);
      this.heldBack(status, rest);
      process.nextTick(passHead);
      return raw;
    };
    raw.write = ((...args: WriteArguments) => {
      passHead();
      const { chunk, callback } = readArguments(args);
      this.body.add(chunk);
      if (!this.isReplaced) return original.write(...args);
      if (this.body.bytes > this.options.maxBytes) this.giveUpBody();
      callback?.();
      return true;
    }) as typeof raw.write;
    raw.end = ((...args: WriteArguments) => {
      const { chunk, callback } = readArguments(args);
      passHead(chunk ?? Buffer.alloc(0));
      this.body.add(chunk);
      this.replace();
      if (!this.isReplaced) this.passEnd(() => original.end(...args));
      else if (callback !== undefined) process.nextTick(callback);
      this.finish(true);
      return raw;
    }) as typeof raw.end;
    raw.flushHeaders = () => {
      passHead();
      if (!this.isReplaced) original.flushHeaders();
    };
    raw.once('close', () => this.closed());
  }

  /** What `writeHead` was given, put where headers are looked for. */
  private heldBack(status: number, rest: readonly unknown[]): void {
    const { raw } = this;
    if (typeof rest[0] === 'string') this.message = rest[0];
    raw.statusCode = status;
    this.isHeadWritten = true;
    for (const [name, value] of headerArguments(rest)) raw.setHeader(name, value);
  }

  private passHead(body: Buffer | undefined, { writeHead, end }: Writer): void {
    if (this.head !== undefined) return;
    const { raw } = this;
    const headers = { ...raw.getHeaders() } as HttpHeaders;
    this.head = { status: raw.statusCode, headers };
    const verdict = this.options.onHead({ ...this.head, body });
    if (verdict.kind === 'replace') {
      this.isReplaced = true;
      for (const name of raw.getHeaderNames()) raw.removeHeader(name);
      for (const [name, value] of verdict.headers) raw.setHeader(name, value);
      this.replacement = () => {
        Reflect.deleteProperty(raw, 'headersSent');
        writeHead(verdict.status);
        end(verdict.body);
      };
      if (verdict.isRecorded && body === undefined) saysThatHeadIsSent(raw);
      else this.replace();
      if (!verdict.isRecorded) this.finish(false);
      return;
    }
    for (const name of verdict.remove) raw.removeHeader(name);
    for (const [name, value] of verdict.set) raw.setHeader(name, value);
    if (!this.isHeadWritten) return;
    writeHead(raw.statusCode, ...(this.message === undefined ? [] : [this.message]));
  }

  private replace(): void {
    const { replacement } = this;
    this.replacement = undefined;
    replacement?.();
  }

  /** Nobody waits for the rest of what will not be kept. */
  private giveUpBody(): void {
    this.replace();
    this.finish(true);
  }

  private passEnd(end: () => unknown): void {
    const { raw } = this;
    const { beforeEnd } = this.options;
    if (beforeEnd === undefined) {
      end();
      return;
    }
    if (this.isEnding) return;
    this.isEnding = true;
    saysThatHeadIsSent(raw);
    const passed = (): void => {
      Reflect.deleteProperty(raw, 'headersSent');
      end();
    };
    void beforeEnd(this.recorded(true)).then(passed, passed);
  }

  /** The client is gone, or was answered. A handler that has not begun to answer goes on: its response counts. */
  private closed(): void {
    if (this.head !== undefined) this.finish(false);
    else void this.running.then(() => (this.orphaned = setTimeout(() => this.finish(false), ORPHANED_MS).unref()));
  }

  private recorded(isWhole: boolean): RecordedResponse {
    const { status = this.raw.statusCode, headers = {} } = this.head ?? {};
    return { status, headers, body: this.body.whole(), bytes: this.body.bytes, isWhole };
  }
}

/** What comes now comes too late: nobody is to begin another response. */
const saysThatHeadIsSent = (raw: ServerResponse): void =>
  void Object.defineProperty(raw, 'headersSent', { configurable: true, get: () => true });

/** How a response wrote before it was wrapped. */
interface Writer {
  readonly writeHead: (status: number, ...rest: unknown[]) => ServerResponse;
  readonly write: (...args: unknown[]) => boolean;
  readonly end: (...args: unknown[]) => unknown;
  readonly flushHeaders: () => void;
}

const writerOf = (raw: ServerResponse): Writer => ({
  writeHead: raw.writeHead.bind(raw) as Writer['writeHead'],
  write: raw.write.bind(raw) as Writer['write'],
  end: raw.end.bind(raw) as Writer['end'],
  flushHeaders: raw.flushHeaders.bind(raw),
});

/** Keeps a body while it is short enough to be stored. */
export class BodyBuffer {
  bytes = 0;
  private chunks: Buffer[] | undefined = [];

  constructor(private readonly maxBytes: number) {}

  add(chunk: Buffer | undefined): void {
    if (chunk === undefined) return;
    this.bytes += chunk.length;
    if (this.bytes > this.maxBytes) this.chunks = undefined;
    // Whoever wrote it may use its memory again.
    this.chunks?.push(Buffer.from(chunk));
  }

  whole(): Buffer | undefined {
    return this.chunks && Buffer.concat(this.chunks);
  }
}

export type WriteArguments = readonly unknown[];

/** `write` and `end` take a chunk, its encoding and a callback, each of which may be left out. */
export function readArguments(args: WriteArguments): {
  readonly chunk: Buffer | undefined;
  readonly callback: (() => void) | undefined;
} {
  const [given, encoding] = args;
  const callback = args.find((one) => typeof one === 'function') as (() => void) | undefined;
  if (given === undefined || given === null || typeof given === 'function') return { chunk: undefined, callback };
  if (typeof given !== 'string') return { chunk: asBuffer(given as Uint8Array), callback };
  return { chunk: Buffer.from(given, typeof encoding === 'string' ? (encoding as BufferEncoding) : 'utf8'), callback };
}

const asBuffer = ({ buffer, byteOffset, byteLength }: Uint8Array): Buffer =>
  Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength);

/** The headers among what `writeHead` was given: an object, or a flat list in which names may come again. */
export function headerArguments(rest: readonly unknown[]): [name: string, value: OutgoingHttpHeader][] {
  const given = rest.find((one) => typeof one === 'object' && one !== null);
  if (given === undefined) return [];
  const pairs = Array.isArray(given) ? pairsOf(given) : Object.entries(given as OutgoingHttpHeaders);
  const headers = new Map<string, OutgoingHttpHeader>();
  for (const [name, value] of pairs) {
    if (value === undefined) continue;
    const known = headers.get(name.toLowerCase());
    headers.set(name.toLowerCase(), known === undefined ? value : [known, value].flat().map(String));
  }
  return [...headers];
}

function pairsOf(list: readonly unknown[]): [string, OutgoingHttpHeader][] {
  if (Array.isArray(list[0])) return list as [string, OutgoingHttpHeader][];
  const pairs: [string, OutgoingHttpHeader][] = [];
  for (let at = 0; at + 1 < list.length; at += 2) pairs.push([String(list[at]), list[at + 1] as OutgoingHttpHeader]);
  return pairs;
}

/** Has `annotate` add headers at the last moment, when the handler has said all of its own. */
export function beforeHead(raw: ServerResponse, annotate: () => void): void {
  const { writeHead } = writerOf(raw);
  let isDone = false;
  raw.writeHead = (status: number, ...rest: unknown[]) => {
    if (isDone) return writeHead(status, ...rest);
    isDone = true;
    for (const [name, value] of headerArguments(rest)) raw.setHeader(name, value);
    annotate();
    return writeHead(status, ...rest.filter((one) => typeof one === 'string'));
  };
}
