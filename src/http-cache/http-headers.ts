/** Headers by lower-case name, as Node and undici hand them out; a name that came several times has a list. */
export type HttpHeaders = Readonly<Record<string, string | number | readonly string[] | undefined>>;

/** The whole value of a header, several lines joined as RFC 9110 section 5.3 allows; undefined when there is none. */
export function headerOf(headers: HttpHeaders, name: string): string | undefined {
  const value = headers[name];
  if (typeof value === 'string' || value === undefined) return value;
  return typeof value === 'number' ? String(value) : value.join(', ');
}

/** The members of a list, trimmed, empty ones left out; a comma inside quotes separates nothing. */
export function listMembers(value: string): string[] {
  if (!value.includes('"')) return trimmed(value.split(','));
  const members: string[] = [];
  let from = 0;
  let isQuoted = false;
  for (let at = 0; at < value.length; at++) {
    const character = value[at];
    if (isQuoted && character === '\\') at++;
    else if (character === '"') isQuoted = !isQuoted;
    else if (character === ',' && !isQuoted) {
      members.push(value.slice(from, at));
      from = at + 1;
    }
  }
  return trimmed([...members, value.slice(from)]);
}

const trimmed = (members: readonly string[]): string[] =>
  members.map((member) => member.trim()).filter((member) => member !== '');

/** Milliseconds since the epoch, or undefined for what is no date (`Expires: 0`). */
export function dateOf(value: string | undefined): number | undefined {
  // Every form of RFC 9110 section 5.6.7 begins with a day, and Date.parse takes too much else for a date.
  if (value === undefined || !/^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)/i.test(value)) return undefined;
  const ms = Date.parse(/^\w{3} /.test(value) ? `${value} GMT` : value);
  return Number.isNaN(ms) ? undefined : ms;
}
