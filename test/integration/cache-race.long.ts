import { describeRaces } from '../support/races.ts';

describeRaces(1_000);
