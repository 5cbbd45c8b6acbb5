import type { Algorithm, Escalation, OnOutage, Quota } from './rate-limit-store.interface.ts';
import { bucketWidthUs } from './sliding-window.ts';

export interface QuotaOptions {
  /** Of the policy. */
  readonly name: string;
  readonly algorithm: Algorithm;
  readonly limit: number;
  readonly windowMs: number;
  /** Of `gcra`: units that may be spent at once. @default the limit */
  readonly burst?: number | undefined;
  readonly isShadow?: boolean;
  readonly escalation?: Escalation | undefined;
  /** @default 'local' */
  readonly onOutage?: OnOutage;
}

/** What a store decides by, made of what a policy says. */
export function quotaOf({ name, algorithm, limit, windowMs, burst, escalation, ...rest }: QuotaOptions): Quota {
  return {
    id: idOf(name, windowMs, algorithm),
    algorithm,
    capacity: algorithm === 'gcra' ? (burst ?? limit) : limit,
    windowMs,
    stepUs: stepUsOf(algorithm, limit, windowMs),
    isShadow: rest.isShadow ?? false,
    escalation,
    onOutage: rest.onOutage ?? 'local',
  };
}

/** No name can be mistaken for a window, nor the end of an id for the beginning of what follows it. */
const idOf = (name: string, windowMs: number, algorithm: Algorithm): string =>
  `${name.replace(/[%:]/g, encodeURIComponent)}:${windowMs}${algorithm === 'sliding' ? '' : algorithm}`;

function stepUsOf(algorithm: Algorithm, limit: number, windowMs: number): number {
  switch (algorithm) {
    case 'sliding':
      return bucketWidthUs(windowMs);
    case 'fixed':
      return windowMs * 1_000;
    case 'gcra':
      return Math.ceil((windowMs * 1_000) / limit);
  }
}
