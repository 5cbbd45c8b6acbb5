import { headerOf, type HttpHeaders, listMembers } from './http-headers.ts';

/** Names of the request headers that chose this response, sorted and lower-case; `['*']` is storable by nobody. */
export function varyNamesOf(headers: HttpHeaders): readonly string[] {
  const value = headerOf(headers, 'vary');
  if (value === undefined) return NO_NAMES;
  return [...new Set(listMembers(value.toLowerCase()))].sort();
}

const NO_NAMES: readonly string[] = [];

/** How values are compared that a server distinguishes less finely than clients write them. */
export interface VaryOptions {
  /** The languages that the application speaks: others make no variant of their own. */
  readonly languages?: readonly string[] | undefined;
}

/** What the request says in these headers, as one text: equal for requests that get the same variant. */
export function variantOf(names: readonly string[], requestHeaders: HttpHeaders, options: VaryOptions = {}): string {
  return names.map((name) => `${name}=${normalised(name, headerOf(requestHeaders, name), options)}`).join('\n');
}

function normalised(name: string, value: string | undefined, { languages }: VaryOptions): string {
  if (name === 'accept-encoding') return preferred(value, ['br', 'gzip']) ?? 'identity';
  if (name === 'accept-language' && languages !== undefined) {
    return preferred(value, languages) ?? languages[0] ?? '';
  }
  if (name === 'accept-language') value = value?.toLowerCase();
  // A header that is not there is not one that is there and empty.
  return value === undefined ? '-' : `+${spelled(value)}`;
}

const spelled = (list: string): string => listMembers(list).join(',').replace(/\s+/g, ' ');

/** The first of `known`, by the weight that the client gives it, that it accepts at all. */
function preferred(value: string | undefined, known: readonly string[]): string | undefined {
  if (value === undefined) return undefined;
  const asked = listMembers(value.toLowerCase()).map(weighted);
  let best: { readonly name: string; readonly weight: number } | undefined;
  for (const name of known) {
    const weight = weightOf(name.toLowerCase(), asked);
    if (weight > (best?.weight ?? 0)) best = { name, weight };
  }
  return best?.name;
}

interface Weighted {
  readonly name: string;
  readonly weight: number;
}

function weighted(member: string): Weighted {
  const [name = '', ...parameters] = member.split(';').map((part) => part.trim());
  const weight = parameters.find((parameter) => parameter.startsWith('q='));
  return { name, weight: weight === undefined ? 1 : Number(weight.slice(2)) || 0 };
}

/** What was said of it by name or by its own language (`en` also of `en-gb`), else what `*` says. */
function weightOf(name: string, asked: readonly Weighted[]): number {
  const own = asked.find((one) => one.name === name) ?? asked.find((one) => one.name.startsWith(`${name}-`));
  return (own ?? asked.find((one) => one.name === '*'))?.weight ?? 0;
}
