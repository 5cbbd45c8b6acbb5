import type { HttpAdapterHost } from '@nestjs/core';

/** What every answer of the admin API carries: nobody keeps it, guesses its type, or embeds it. */
export const HARDENING: Readonly<Record<string, string>> = {
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

export function harden({ httpAdapter }: HttpAdapterHost, response: unknown): void {
  for (const [name, value] of Object.entries(HARDENING)) httpAdapter.setHeader(response, name, value);
}
