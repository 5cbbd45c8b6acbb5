/**
 * The globs of Redis (`KEYS`, `SCAN MATCH`), with the same answers: `*`, `?`, `[abc]`, `[a-z]`, `[^x]`, `\` takes the
 * next character literally, a class that is not closed reaches to the end. As in Redis `?` and a class stand for one
 * **byte** of UTF-8: `é` is matched by `??`.
 *
 * One difference: a range from an ASCII to another character (`[a-é]`) means something else on every architecture that
 * Redis was compiled for; here bytes are compared as numbers from 0 to 255.
 */

/** Escapes `* ? [ ] \` so that a glob matches `text` literally. */
export const escapeGlob = (text: string): string => text.replace(/[*?[\]\\]/g, '\\$&');

/** Any bytes, or one byte: this one, or one of these. */
type Token = typeof STAR | number | ByteSet;
/** Whether a byte belongs to the set, by its number. */
type ByteSet = readonly boolean[];

const STAR = '*';
const ANY_BYTE: ByteSet = new Array<boolean>(256).fill(true);

/** Compiles a glob into a predicate on text. */
export function globMatcher(glob: string): (text: string) => boolean {
  const tokens = tokensOf(toBytes(glob));
  return (text) => matches(tokens, toBytes(text));
}

/**
 * Two pointers and one way back, to the last star: what an earlier star could take more of, the last one can take too.
 * So the time is at most length of glob × length of text, while a RegExp needs seconds for four stars.
 */
function matches(tokens: readonly Token[], bytes: string): boolean {
  let token = 0;
  let byte = 0;
  let afterStar = -1;
  let retryAt = 0;
  while (byte < bytes.length) {
    if (tokens[token] === STAR) {
      afterStar = ++token;
      retryAt = byte;
    } else if (accepts(tokens[token], bytes.charCodeAt(byte))) {
      token++;
      byte++;
    } else if (afterStar >= 0) {
      token = afterStar;
      byte = ++retryAt;
    } else {
      return false;
    }
  }
  while (tokens[token] === STAR) token++;
  return token === tokens.length;
}

function accepts(token: Token | undefined, byte: number): boolean {
  if (typeof token === 'number') return token === byte;
  return typeof token === 'object' && token[byte] === true;
}

/** UTF-8 as a string of bytes; ASCII is that already. */
const toBytes = (text: string): string => (/[^\0-\x7f]/.test(text) ? Buffer.from(text).toString('latin1') : text);

function tokensOf(glob: string): Token[] {
  const reader = new GlobReader(glob);
  const tokens: Token[] = [];
  while (!reader.atEnd) tokens.push(reader.token());
  return tokens;
}

class GlobReader {
  #at = 0;

  constructor(private readonly glob: string) {}

  get atEnd(): boolean {
    return this.#at >= this.glob.length;
  }

  token(): Token {
    switch (this.glob[this.#at]) {
      case '*':
        this.#at++;
        return STAR;
      case '?':
        this.#at++;
        return ANY_BYTE;
      case '[':
        this.#at++;
        return this.#class();
      default:
        return this.#literal();
    }
  }

  /** A byte, or the one behind a backslash; a backslash at the very end is itself. */
  #literal(): number {
    if (this.glob[this.#at] === '\\' && this.#at + 1 < this.glob.length) this.#at++;
    return this.glob.charCodeAt(this.#at++);
  }

  #class(): ByteSet {
    const isNegated = this.glob[this.#at] === '^';
    if (isNegated) this.#at++;
    const set = new Array<boolean>(256).fill(isNegated);
    while (!this.atEnd && this.glob[this.#at] !== ']') this.#member(set, !isNegated);
    this.#at++;
    return set;
  }

  /** One byte or a range. As in Redis the end of a range may be `]`, and `[z-a]` is `[a-z]`. */
  #member(set: boolean[], isMember: boolean): void {
    const isRange = this.glob[this.#at] !== '\\' && this.glob[this.#at + 1] === '-' && this.#at + 2 < this.glob.length;
    const start = this.#literal();
    const end = isRange ? this.glob.charCodeAt(this.#at + 1) : start;
    if (isRange) this.#at += 2;
    set.fill(isMember, Math.min(start, end), Math.max(start, end) + 1);
  }
}
