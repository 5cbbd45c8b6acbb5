import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT, run } from '../support/packed.ts';

const SLOW = 60_000;
const publicApi = (...args: string[]): Promise<string> =>
  run(ROOT, process.execPath, join(ROOT, 'test/support/public-api.mjs'), ...args);
const exportsOf = async (load: string): Promise<string[]> =>
  JSON.parse(await run(ROOT, process.execPath, '--input-type=module', '-e', `${PRINT}(${load})`)) as string[];
const PRINT = `
  import { createRequire } from 'node:module';
  const require = createRequire(process.cwd() + '/');
  const print = (exports) => console.log(JSON.stringify(Object.keys(exports).sort()));
  print`;

describe('the public API', () => {
  const accepted = readFileSync(join(ROOT, 'test/public-api.txt'), 'utf8');

  it(
    'is the one in test/public-api.txt; `npm run api:accept` accepts an intended change',
    async () => expect(await publicApi()).toBe(accepted),
    SLOW,
  );

  it(
    'says `any` nowhere but in the messages of subscribe',
    async () => expect(await publicApi('--any')).toBe('CacheService.subscribe.callback.message\n'),
    SLOW,
  );

  it('has the values it declares, in both formats', async () => {
    const isValue = /^\/\/ (\w+)\nexport declare (?:abstract )?(?:class|const|function)/gm;
    const values = [...accepted.matchAll(isValue)].map(([, name]) => name);
    expect(values).toContain('CacheService');
    await expect(exportsOf(`await import('./dist/esm/index.js')`)).resolves.toEqual(values);
    await expect(exportsOf(`require('./dist/cjs/index.js')`)).resolves.toEqual(values);
  });
});
