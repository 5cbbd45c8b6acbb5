import { randomFillSync } from 'node:crypto';

/** Bytes for the next texts: asking the system each time costs more than most of what the text is for. */
const pool = Buffer.allocUnsafe(2_048);
let used = pool.length;

/** So many random bytes as text; none of them is ever given twice. */
export function randomText(bytes: number, encoding: 'hex' | 'base64url'): string {
  if (used + bytes > pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += bytes;
  return pool.toString(encoding, used - bytes, used);
}
