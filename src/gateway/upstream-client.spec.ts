import { InvalidOptionsError } from '../common/errors.ts';
import { loadUndici } from './upstream-client.ts';

describe('the client of upstreams', () => {
  it('is undici, where that is installed', async () => {
    expect(await loadUndici()).toHaveProperty('Pool');
  });

  it('says what to install where it is not', async () => {
    const missing = loadUndici(() => Promise.reject(new Error("Cannot find package 'undici'")));
    await expect(missing).rejects.toThrow(InvalidOptionsError);
    await expect(missing).rejects.toThrow(/GatewayModule cannot start.*undici is not installed: npm install undici@7/s);
  });
});
