import type { ServerResponse } from 'node:http';
import type { HttpHeaders } from '../http-cache/semantics.ts';
import { endToEnd } from './hop-headers.ts';

/** Tells the client at once what an upstream says before its answer (102, 103); it is never stored. */
export function passInterim(raw: ServerResponse, status: number, headers: HttpHeaders): void {
  // Whoever is refreshed for has been answered; HTTP/1.0 knows no such thing.
  if (raw.headersSent || raw.destroyed || raw.req.httpVersion === '1.0') return;
  if (status === 102) raw.writeProcessing();
  const { link, ...others } = endToEnd(headers);
  if (status !== 103 || link === undefined) return;
  try {
    raw.writeEarlyHints({ ...others, link });
  } catch {
    // Node takes only what looks like a link to it: a hint is no reason to fail.
  }
}
