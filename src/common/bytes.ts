const BYTES_PER: Readonly<Record<string, number>> = { b: 1, kb: 1024, mb: 1024 ** 2, gb: 1024 ** 3 };
const FORM = /^(\d+(?:\.\d+)?) ?(b|kb|mb|gb)?$/i;

/** Bytes of a size: a whole number of bytes, or text such as `'64mb'`, where 1 kb is 1024 bytes. Undefined for anything else. */
export function parseBytes(size: number | string): number | undefined {
  const bytes = typeof size === 'number' ? size : textToBytes(size);
  return bytes >= 0 && Number.isSafeInteger(bytes) ? bytes : undefined;
}

function textToBytes(text: string): number {
  const [, amount, unit = 'b'] = FORM.exec(text) ?? [];
  return Math.ceil(Number(amount) * (BYTES_PER[unit.toLowerCase()] ?? NaN));
}
