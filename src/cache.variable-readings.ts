/** How the text of a variable becomes an option. A text that does not fit is passed on, for the option's rule to refuse. */
export interface Reading {
  /** Puts what the option allows into the words of the variable. */
  readonly describe?: (allowed: string) => string;
  readonly read: (text: string) => unknown;
}

const FLAGS: ReadonlyMap<string, boolean> = new Map([
  ...['true', 'yes', 'on', '1'].map((text) => [text, true] as const),
  ...['false', 'no', 'off', '0'].map((text) => [text, false] as const),
]);

/** Other loggers of the application read `LOG_LEVEL` too: what they call their levels is understood. */
const LOG_LEVELS: ReadonlyMap<string, string> = new Map([
  ['info', 'log'],
  ['trace', 'verbose'],
  ['silent', 'fatal'],
]);

const isNumeral = (text: string): boolean => /^\d+(\.\d+)?$/.test(text);

/** A bare number in the variable's unit; a duration with a unit of its own is understood as well. */
const amount = (words: string, unit: string): Reading => ({
  describe: (allowed) => `${words} (${allowed})`,
  read: (text) => (isNumeral(text) ? text + unit : text),
});

export const plain: Reading = { read: (text) => text };
export const flag: Reading = { read: (text) => FLAGS.get(text.toLowerCase()) ?? text };
export const number: Reading = { read: (text) => (isNumeral(text) ? Number(text) : text) };
export const seconds = amount('a number of seconds', 's');
export const milliseconds = amount('a number of milliseconds', 'ms');
export const nodes: Reading = {
  describe: () => 'host:port,host:port',
  read: (text) => text.split(',').map((node) => node.trim()),
};
export const logLevel: Reading = { read: (text) => LOG_LEVELS.get(text.toLowerCase()) ?? text.toLowerCase() };
