import { describeRaces } from '../support/races.ts';

// Each of them goes wrong one time in three without a lease: see cache-race.long.ts for those that are rare.
describeRaces(80);
