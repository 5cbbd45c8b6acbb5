export type Tier = 'bronze' | 'silver' | 'gold' | 'diamond';

export interface DemoUser {
  readonly id: string;
  readonly tier: Tier;
}

/** Everybody else is bronze. */
export const DEMO_TIERS: ReadonlyMap<string, Tier> = new Map([
  ['linus', 'silver'],
  ['ada', 'gold'],
  ['grace', 'diamond'],
]);
