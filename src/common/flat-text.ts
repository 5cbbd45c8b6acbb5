/**
 * The same text, as a string of its own. What `slice` and `+` give is a window into other strings, or a rope of them:
 * as the key of a map it is compared several times slower, and it keeps the others alive.
 *
 * @param text well-formed Unicode
 */
export const flatText = (text: string): string => Buffer.from(text).toString();
