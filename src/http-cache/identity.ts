import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import { headerOf, type HttpHeaders, listMembers } from './http-headers.ts';
import { weakened } from './validators.ts';

type Decoder = (body: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>;

const DECODERS: ReadonlyMap<string, Decoder> = new Map([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['br', promisify(brotliDecompress)],
]);

/** Headers that are as true of the body without its codings: a strong ETag was about the coded bytes. */
export function identityHeaders(headers: HttpHeaders): HttpHeaders {
  const etag = headerOf(headers, 'etag');
  return etag === undefined || codingsOf(headers).length === 0 ? headers : { ...headers, etag: weakened(etag) };
}

/** The body without its codings, or undefined when one is unknown, the bytes are not in it, or they are too many. */
export async function identityOf(body: Buffer, headers: HttpHeaders, maxBytes: number): Promise<Buffer | undefined> {
  let bytes = body;
  try {
    for (const coding of codingsOf(headers).reverse()) {
      const decode = DECODERS.get(coding);
      if (decode === undefined) return undefined;
      bytes = await decode(bytes, { maxOutputLength: Math.max(1, maxBytes) });
    }
    return bytes;
  } catch {
    return undefined;
  }
}

const codingsOf = (headers: HttpHeaders): string[] =>
  listMembers(headerOf(headers, 'content-encoding')?.toLowerCase() ?? '').filter((coding) => coding !== 'identity');
