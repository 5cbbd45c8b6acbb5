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

const DAY = '(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)';
const MONTH = '(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)';
const TIME = String.raw`(\d\d:\d\d:\d\d)`;
/** The forms of RFC 9110 section 5.6.7: the one that is sent, and two that others may have sent long ago. */
const FIXDATE = new RegExp(String.raw`^${DAY}, (\d\d) ${MONTH} (\d{4}) ${TIME} GMT$`, 'i');
const RFC_850 = new RegExp(String.raw`^\w{6,9}, (\d\d)-${MONTH}-(\d\d) ${TIME} GMT$`, 'i');
const ASCTIME = new RegExp(String.raw`^${DAY} ${MONTH} ([ \d]\d) ${TIME} (\d{4})$`, 'i');
/** A year of two digits that would be further ahead than this is one of the last century. */
const FAR_AHEAD_YEARS = 50;

/** Milliseconds since the epoch, or undefined for what is no date (`Expires: 0`): others may read it differently. */
export function dateOf(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  const [, day, month, year, time] = FIXDATE.exec(value) ?? RFC_850.exec(value) ?? turned(ASCTIME.exec(value)) ?? [];
  if (day === undefined || month === undefined || year === undefined || time === undefined) return undefined;
  const ms = Date.parse(`${day.trim()} ${month} ${year.length === 2 ? centuryOf(Number(year)) : year} ${time} GMT`);
  return Number.isNaN(ms) ? undefined : ms;
}

/** The parts of the third form in the order of the others. */
const turned = (found: RegExpExecArray | null): readonly (string | undefined)[] | undefined =>
  found === null ? undefined : [found[0], found[2], found[1], found[4], found[3]];

function centuryOf(year: number): number {
  const now = new Date().getUTCFullYear();
  const near = now - (now % 100) + year;
  return near > now + FAR_AHEAD_YEARS ? near - 100 : near;
}
