/** Escapes `* ? [ ] \` so that a glob matches `text` literally. */
export const escapeGlob = (text: string): string => text.replace(/[*?[\]\\]/g, '\\$&');
