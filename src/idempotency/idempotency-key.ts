/** What a request says about its key. */
export type GivenKey =
  | { readonly kind: 'key'; readonly key: string }
  | { readonly kind: 'missing' }
  | { readonly kind: 'malformed'; readonly fault: string };

const MAX_LENGTH = 255;
/** A String of RFC 9651 (section 3.3.3), and parameters, which mean nothing here (section 3.1.2). */
const STRING = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"(?: *; *[a-z*][\w.*-]*(?:=(?:"[^"]*"|[^\s";]+))?)*$/;
/** What clients send without quotes: visible characters, none of which separates. */
const BARE = /^[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]+$/;

/** Reads `Idempotency-Key`. @param isStrict whether it has to be in quotes, as draft-ietf-httpapi-idempotency-key-header says */
export function idempotencyKeyOf(header: string | readonly string[] | undefined, isStrict: boolean): GivenKey {
  if (header === undefined) return { kind: 'missing' };
  const key = typeof header === 'string' ? textOf(header.trim(), isStrict) : undefined;
  if (key === undefined)
    return { kind: 'malformed', fault: `it must be ${isStrict ? 'one string in quotes' : 'one string'}` };
  if (key.length >= 1 && key.length <= MAX_LENGTH) return { kind: 'key', key };
  return { kind: 'malformed', fault: `it must have 1 to ${MAX_LENGTH} characters` };
}

function textOf(value: string, isStrict: boolean): string | undefined {
  if (value === '') return '';
  const [, quoted] = STRING.exec(value) ?? [];
  if (quoted !== undefined) return quoted.replace(/\\(.)/g, '$1');
  return !isStrict && BARE.test(value) ? value : undefined;
}
