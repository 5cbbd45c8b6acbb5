/// <reference lib="es2024.string" />
/** Text fit for a label, a log line or a page: nothing that a terminal would act on, and not long. */
export const shownText = (text: string, maxLength = 120): string =>
  text
    .slice(0, maxLength)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '?');
