import type { AbstractHttpAdapter } from '@nestjs/core';

type Reply = (response: object, body: unknown, status?: number) => unknown;

const PROBLEM = /^application\/problem\+json\b/i;

/**
 * Nest 11 takes every content type of an error but `application/json` for a mistake, and corrects it. A body that is
 * text already it leaves alone.
 */
export function keepProblems(adapter: AbstractHttpAdapter | undefined): void {
  if (adapter === undefined) return;
  const target = adapter as unknown as { reply: Reply };
  const original: Reply = target.reply.bind(adapter);
  const isProblem = (response: object, body: unknown): boolean =>
    typeof body === 'object' && body !== null && PROBLEM.test(String(adapter.getHeader(response, 'Content-Type')));
  target.reply = (response, body, status) =>
    original(response, isProblem(response, body) ? JSON.stringify(body) : body, status);
}
