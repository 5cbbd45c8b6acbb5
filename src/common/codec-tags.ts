/**
 * How values that JSON would lose are written into it: as strings that begin with `~` and a letter. A string that
 * begins with `~` itself gets a second one, so nothing a user stores is ever taken for a tag.
 *
 *   ~~text  ~u undefined  ~nNaN ~nInfinity ~n-0  ~i5 bigint  ~d0 Date (ms)  ~lhttps://… URL  ~rgi/source RegExp
 *   ~bBASE64 Buffer  ~aFloat64Array/BASE64 other binary
 *   ["~m", key, value, …] Map  ["~s", …] Set  ["~e", name, message, { …fields }] Error
 */
const MARK = '~';
const MARK_CODE = MARK.charCodeAt(0);

export const UNDEFINED_TAG = '~u';
export const MAP_TAG = '~m';
export const SET_TAG = '~s';
export const ERROR_TAG = '~e';

/** Binary classes beside Buffer. Their bytes are stored as they lie in memory: little-endian on every platform of Node.js. */
const BINARY = {
  ArrayBuffer,
  DataView,
  Int8Array,
  Uint8Array,
  Uint8ClampedArray,
  Int16Array,
  Uint16Array,
  Int32Array,
  Uint32Array,
  Float32Array,
  Float64Array,
  BigInt64Array,
  BigUint64Array,
};
export type BinaryName = keyof typeof BINARY;

export const looksTagged = (text: string): boolean => text.charCodeAt(0) === MARK_CODE;
export const isBinaryName = (name: string): name is BinaryName => Object.hasOwn(BINARY, name);

export const escapeText = (text: string): string => MARK + text;
export const tagNumber = (value: number): string => `~n${Object.is(value, -0) ? '-0' : String(value)}`;
export const tagBigInt = (value: bigint): string => `~i${String(value)}`;
export const tagDate = (value: Date): string => `~d${String(value.getTime())}`;
export const tagUrl = (value: URL): string => `~l${value.href}`;
export const tagRegExp = ({ flags, source }: RegExp): string => `~r${flags}/${source}`;
export const tagBuffer = (value: Buffer): string => `~b${value.toString('base64')}`;
export const tagBinary = (name: BinaryName, value: ArrayBuffer | ArrayBufferView): string =>
  `~a${name}/${bytesOf(value).toString('base64')}`;

const bytesOf = (value: ArrayBuffer | ArrayBufferView): Buffer =>
  ArrayBuffer.isView(value) ? Buffer.from(value.buffer, value.byteOffset, value.byteLength) : Buffer.from(value);

/**
 * The value of a tag.
 * @throws when it is not one
 */
export function untag(tag: string): unknown {
  const content = tag.slice(2);
  switch (tag.charAt(1)) {
    case MARK:
      return tag.slice(1);
    case 'u':
      return undefined;
    case 'n':
      return Number(content);
    case 'i':
      return BigInt(content);
    case 'd':
      return new Date(Number(content));
    case 'l':
      return new URL(content);
    case 'r':
      return untagRegExp(content);
    case 'b':
      return Buffer.from(content, 'base64');
    case 'a':
      return untagBinary(content);
    default:
      throw new TypeError('unknown tag');
  }
}

function untagRegExp(content: string): RegExp {
  const slash = content.indexOf('/');
  return new RegExp(content.slice(slash + 1), content.slice(0, slash));
}

function untagBinary(content: string): ArrayBuffer | ArrayBufferView {
  const slash = content.indexOf('/');
  const name = content.slice(0, slash);
  if (!isBinaryName(name)) throw new TypeError('unknown binary class');
  // A copy of its own: Buffer.from() may hand out a part of a shared pool, at an offset that some classes cannot start at.
  const { buffer } = new Uint8Array(Buffer.from(content.slice(slash + 1), 'base64'));
  return name === 'ArrayBuffer' ? buffer : new (BINARY[name] as new (buffer: ArrayBuffer) => ArrayBufferView)(buffer);
}
