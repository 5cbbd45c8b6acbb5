import type { PolicyStanding } from '../rate-limit.decision.ts';

export interface HeaderSettings {
  readonly partitionSecret: string | undefined;
}

export type Header = readonly [name: string, value: string];

/** One way to write down where a request stands with its policies: names and values. */
export type HeaderForm = (standings: readonly PolicyStanding[], settings: HeaderSettings) => readonly Header[];
