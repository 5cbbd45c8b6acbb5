import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import { headerOf, type HttpHeaders, listMembers } from './http-headers.ts';

type Decoder = (body: Buffer, options: { readonly maxOutputLength: number }) => Promise<Buffer>;

const DECODERS: ReadonlyMap<string, Decoder> = new Map([
  ['gzip', promisify(gunzip)],
  ['x-gzip', promisify(gunzip)],
  ['deflate', promisify(inflate)],
  ['br', promisify(brotliDecompress)],
]);

/** Whether a coding stands between these bytes and the representation. */
export const isEncoded = (headers: HttpHeaders): boolean => codingsOf(headers).length > 0;

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
