import { encodeKeyPart } from '../common/keys.ts';

/** Which parameters of the query belong to the key. */
export interface QueryRules {
  /** Only these; all when left out. */
  readonly only?: readonly string[] | undefined;
  /** Not these; `utm_*` stands for all that begin so. */
  readonly ignore: readonly string[];
}

/**
 * A path in the one form that all its spellings share: what needs no escape is not escaped, escapes are upper-case,
 * and what has no place in a URL is escaped. Case and a slash at the end stay. Undefined for what is no path
 * (`http://elsewhere/`, `*`).
 */
export function pathOf(url: string): string | undefined {
  const end = url.search(/[?#]/);
  const path = end === -1 ? url : url.slice(0, end);
  if (!path.startsWith('/')) return undefined;
  return PLAIN_PATH.test(path) ? path : path.replace(/%[\da-f]{2}|[^\w\-.~!$&'()*+,;=:@/]/gi, respelled);
}

const PLAIN_PATH = /^[\w\-.~!$&'()*+,;=:@/]*$/;

/** One escape, or one character that should have been one. Braces would choose the slot of a cluster. */
function respelled(found: string): string {
  if (found.length < 3) return encoded(found);
  const character = String.fromCharCode(Number.parseInt(found.slice(1), 16));
  return /[\w\-.~]/.test(character) ? character : found.toUpperCase();
}

/** Node hands out each byte of a URL as one character. */
function encoded(character: string): string {
  const code = character.charCodeAt(0);
  return code > 0xff ? encodeKeyPart(character) : `%${code.toString(16).toUpperCase().padStart(2, '0')}`;
}

/**
 * The query that tells responses apart, with its `?`: parameters in the order of their names, those of one name in the
 * order they came, none of the ignored ones. Nothing is decoded: what a handler can tell apart stays apart.
 */
export function queryOf(url: string, { only, ignore }: QueryRules): string {
  const at = url.indexOf('?');
  if (at === -1) return '';
  const pairs = url
    .slice(at + 1)
    .split('&')
    .filter((pair) => pair !== '')
    .map((pair) => ({ pair, name: baseNameOf(pair) }))
    .filter(({ name }) => (only === undefined || only.includes(name)) && !ignore.some((rule) => isMeant(name, rule)));
  if (pairs.length === 0) return '';
  pairs.sort((a, b) => (a.name < b.name ? -1 : Number(a.name > b.name)));
  return `?${pairs.map(({ pair }) => pair.replace(/[^!"$-z|~]/g, encoded)).join('&')}`;
}

/** The parameter that `a`, `a[]`, `a[0]` and `%61` all belong to. */
function baseNameOf(pair: string): string {
  const [name = ''] = pair.split('=');
  return (decoded(name).split('[')[0] ?? '').replaceAll('+', ' ');
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const isMeant = (name: string, rule: string): boolean =>
  rule.endsWith('*') ? name.startsWith(rule.slice(0, -1)) : name === rule;

/** A host in its one form: lower-case, without the port that goes without saying. Undefined for what is none. */
export function hostOf(host: string): string | undefined {
  const plain = host.toLowerCase().replace(/:(?:80|443)$/, '');
  return /^[\w\-.]*(?::\d+)?$|^\[[\da-f:.]+\](?::\d+)?$/.test(plain) ? plain : undefined;
}

/** What the listed cookies of a request say, as one text: `''` when it has none of them. */
export function cookiesOf(header: string | undefined, names: readonly string[]): string {
  if (header === undefined) return '';
  const pairs = header.split(';').map((pair) => pair.trim());
  return names.flatMap((name) => pairs.filter((pair) => pair.startsWith(`${name}=`))).join('; ');
}
