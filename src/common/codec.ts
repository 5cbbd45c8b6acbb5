import { brotliCompressSync, brotliDecompressSync, constants } from 'node:zlib';
import { isFaithfulInJson } from './codec-faithful.ts';
import { untagTree } from './codec-read.ts';
import { UNDEFINED_TAG } from './codec-tags.ts';
import { TooLarge, tagTree } from './codec-write.ts';
import { SerializationError, isSerializationError } from './errors.ts';
import { isSuspect, parseJson } from './safe-json.ts';

export interface CodecOptions {
  /** A value that takes more than this when serialised is not stored. */
  readonly maxBytes: number;
  /** A serialised value over this size is compressed if that shrinks it; `Infinity` never compresses. */
  readonly compressAboveBytes: number;
}

/** A value ready to be stored. Nothing in it is shared with the value. */
export interface Encoded {
  /** One ASCII letter, see `Codec`; a capital when the payload is compressed. */
  readonly codec: string;
  readonly payload: string | Buffer;
  /** Size of the payload on its way to the server. */
  readonly bytes: number;
}

/** A value over `maxBytes`, which is at least `bytes` large: the walk through it ends where the limit is passed. */
export interface Oversized {
  readonly codec: undefined;
  readonly bytes: number;
}

/** The letters are stored: never give one a second meaning. */
const Codec = {
  /** A string, as it is. */
  text: 's',
  json: 'j',
  /** JSON with tags for what JSON would lose, see codec-tags.ts. */
  tagged: 't',
  buffer: 'b',
  uint8Array: 'u',
} as const;

/** Quality 1 does 30 KB in a fraction of a millisecond; higher ones are paid by every other request of the process. */
const FAST_BROTLI = { params: { [constants.BROTLI_PARAM_QUALITY]: 1 } };
const DEFAULT_MAX_BYTES = 64 * 1024 ** 2;

const TEXTUAL: ReadonlySet<string> = new Set([Codec.text, Codec.json, Codec.tagged]);

/** Whether the payload is text as it is, not compressed. */
export const isText = (codec: string): boolean => TEXTUAL.has(codec);

/** Whether what is decoded holds nothing but what JSON knows. */
export const isJson = (codec: string): boolean => codec.toLowerCase() === Codec.json;

/** A payload in the form that is cheapest to decode again and again. */
export interface Unpacked {
  readonly codec: string;
  readonly payload: string | Buffer;
  /** `JSON.parse` alone decodes it, and nothing it says can reach a prototype. */
  readonly isPlainJson: boolean;
}

/**
 * Undoes what was done for the way: compression, and text as bytes of a larger network buffer.
 * @throws Error when the payload is not what its codec writes
 */
export function unpack(codec: string, payload: string | Buffer, maxBytes = DEFAULT_MAX_BYTES): Unpacked {
  const letter = codec.toLowerCase();
  const plain = letter === codec ? payload : decompress(payload, maxBytes);
  if (!TEXTUAL.has(letter)) return { codec: letter, payload: Buffer.from(plain), isPlainJson: false };
  const text = plain.toString();
  return { codec: letter, payload: text, isPlainJson: letter === Codec.json && !isSuspect(text) };
}

/**
 * Serialises a value.
 * @throws SerializationError with the path of what cannot be stored: a function, a symbol, a cycle, too deep a nesting
 */
export function encode(value: unknown, { maxBytes, compressAboveBytes }: CodecOptions): Encoded | Oversized {
  try {
    const encoded = encodePlain(value, maxBytes);
    return encoded.bytes > maxBytes
      ? { codec: undefined, bytes: encoded.bytes }
      : compress(encoded, compressAboveBytes);
  } catch (error) {
    if (error instanceof TooLarge) return { codec: undefined, bytes: error.bytes };
    if (isSerializationError(error)) throw error;
    throw new SerializationError('The value cannot be read: a getter or toJSON() of it throws');
  }
}

/** The compressed form, if the payload is over `aboveBytes` and gets smaller by it. */
export function compress(encoded: Encoded, aboveBytes: number): Encoded {
  if (encoded.bytes <= aboveBytes) return encoded;
  const payload = brotliCompressSync(encoded.payload, FAST_BROTLI);
  if (payload.length >= encoded.bytes) return encoded;
  return { codec: encoded.codec.toUpperCase(), payload, bytes: payload.length };
}

/**
 * The value that was encoded, as a private copy.
 * @param maxBytes what a compressed payload may unpack to
 * @throws Error, for the caller to count as corrupt, when the payload is not what its codec writes
 */
export function decode(codec: string, payload: string | Buffer, maxBytes = DEFAULT_MAX_BYTES): unknown {
  try {
    const letter = codec.toLowerCase();
    return decodePlain(letter, letter === codec ? payload : decompress(payload, maxBytes));
  } catch {
    // Without a cause: messages of JSON.parse quote the payload.
    throw new Error(`The payload is not of codec ${JSON.stringify(codec)}`);
  }
}

/** The value of text that another program wrote, or undefined when it is not JSON. */
export function parseForeign(text: string | Buffer): { readonly value: unknown } | undefined {
  try {
    return { value: parseJson(text.toString()) };
  } catch {
    return undefined;
  }
}

function encodePlain(value: unknown, maxBytes: number): Encoded {
  // A lone surrogate has no form in UTF-8; JSON escapes it.
  if (typeof value === 'string' && value.isWellFormed()) return textual(Codec.text, value);
  if (isFaithfulInJson(value, maxBytes)) return textual(Codec.json, JSON.stringify(value));
  if (value instanceof Uint8Array) return binary(value, maxBytes);
  const { tree, tagged } = tagTree(value, maxBytes);
  if (tree === UNDEFINED_TAG)
    throw new SerializationError('undefined cannot be stored: it means that there is nothing');
  return textual(tagged ? Codec.tagged : Codec.json, JSON.stringify(tree));
}

const textual = (codec: string, payload: string): Encoded => ({ codec, payload, bytes: Buffer.byteLength(payload) });

function binary(value: Uint8Array, maxBytes: number): Encoded {
  const bytes = value.length;
  if (bytes > maxBytes) throw new TooLarge(bytes);
  return { codec: Buffer.isBuffer(value) ? Codec.buffer : Codec.uint8Array, payload: Buffer.from(value), bytes };
}

function decodePlain(letter: string, payload: string | Buffer): unknown {
  switch (letter) {
    case Codec.text:
      return payload.toString();
    case Codec.json:
      return parseJson(payload.toString());
    case Codec.tagged:
      return untagTree(parseJson(payload.toString()));
    case Codec.buffer:
      return Buffer.from(binaryOf(payload));
    case Codec.uint8Array:
      return new Uint8Array(binaryOf(payload));
    default:
      throw new TypeError('unknown codec');
  }
}

const decompress = (payload: string | Buffer, maxBytes: number): Buffer =>
  brotliDecompressSync(binaryOf(payload), { maxOutputLength: maxBytes });

function binaryOf(payload: string | Buffer): Buffer {
  if (typeof payload === 'string') throw new TypeError('this codec writes bytes');
  return payload;
}
