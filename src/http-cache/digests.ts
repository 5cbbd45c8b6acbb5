import { createHmac } from 'node:crypto';
import { BoundedMap, bytesOfText } from '../common/bounded-map.ts';

const LIMITS = { maxEntries: 10_000, maxBytes: 4 * 1024 ** 2 };
/** 128 bits: nobody finds a second text with the same digest. */
const LENGTH = 22;

/** Stands for texts in keys that must not be read there: users, tokens, cookies. The last ones are remembered. */
export class Digests {
  private readonly known = new BoundedMap<string>(LIMITS);

  constructor(private readonly secret: string) {}

  of(text: string): string {
    const known = this.known.get(text);
    if (known !== undefined) return known;
    const digest = createHmac('sha256', this.secret).update(text).digest('base64url').slice(0, LENGTH);
    this.known.set(text, digest, bytesOfText(digest));
    return digest;
  }
}
