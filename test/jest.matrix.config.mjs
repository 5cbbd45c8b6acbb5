// The tests against other versions of the peers: KEEP_NEST=11, KEEP_IOREDIS=5, or both (`npm run test:matrix`).
// What works with a build, in processes of its own, keeps the versions of the repository.
import base from './jest.config.mjs';
import { installApp } from './support/install-app.mjs';

const swaps = [
  { variable: 'KEEP_NEST', version: '11', names: '@nestjs/.*|rxjs|rxjs/.*|reflect-metadata' },
  { variable: 'KEEP_IOREDIS', version: '5', names: 'ioredis|ioredis/.*' },
];

const wanted = swaps.filter(({ variable }) => process.env[variable] !== undefined);
const unknown = wanted.filter(({ variable, version }) => process.env[variable] !== version);
if (unknown.length > 0 || wanted.length === 0) {
  throw new Error(`set one of ${swaps.map(({ variable, version }) => `${variable}=${version}`).join(', ')}`);
}
const packages = installApp('nest-11');

/** @type {import('jest').Config} */
export default {
  ...base,
  moduleNameMapper: Object.fromEntries(wanted.map(({ names }) => [`^(${names})$`, `${packages}/$1`])),
  testPathIgnorePatterns: ['/node_modules/', '<rootDir>/test/(docs|package|types)/'],
};
