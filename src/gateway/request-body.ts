import { PassThrough, Readable, Transform, type TransformCallback } from 'node:stream';
import { BodyTooLargeError, ClientGoneError } from './gateway.errors.ts';
import type { HttpHeaders } from '../http-cache/semantics.ts';

/** A request of either platform, as far as its body goes. */
export interface BodySource {
  /** The stream of Node. */
  readonly raw: Readable;
  readonly headers: HttpHeaders;
  /** What a parser has made of it. */
  readonly parsed: unknown;
  /** The bytes that a parser has read, with `rawBody: true`. */
  readonly rawBody: unknown;
}

export const hasBody = (headers: HttpHeaders): boolean =>
  headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0;

/**
 * The body as the client sends it, never more than `maxBytes` of it.
 * @throws BodyTooLargeError when the client says beforehand that it is longer
 */
export function bodyOf({ raw, headers, parsed, rawBody }: BodySource, maxBytes: number): Readable | undefined {
  if (!hasBody(headers)) return undefined;
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw new BodyTooLargeError();
  const limit = new Limit(maxBytes);
  if (!raw.readableEnded && !raw.readableDidRead) {
    raw.once('error', () => limit.destroy(new ClientGoneError()));
    raw.once('close', () => {
      if (!raw.readableEnded) limit.destroy(new ClientGoneError());
    });
    return raw.pipe(limit);
  }
  const bytes = [rawBody, parsed].find((body) => Buffer.isBuffer(body) || typeof body === 'string');
  if (bytes === undefined) throw new TypeError('The body of the request was read before it could be forwarded');
  return Readable.from([bytes], { objectMode: false }).pipe(new PassThrough()).pipe(limit);
}

/** Passes on what it gets until that is too much. */
class Limit extends Transform {
  private bytes = 0;

  constructor(private readonly maxBytes: number) {
    super();
  }

  override _transform(chunk: Buffer, _encoding: BufferEncoding, done: TransformCallback): void {
    this.bytes += chunk.length;
    if (this.bytes > this.maxBytes) done(new BodyTooLargeError());
    else done(null, chunk);
  }
}
