import { forwardedHeaders } from './forwarded-headers.ts';

const HEADERS = {
  host: 'gateway.internal',
  'x-forwarded-host': 'shop.example',
  'x-forwarded-for': '203.0.113.7',
  forwarded: 'for=203.0.113.7',
};
/** What every request says that came through a proxy; `ip` is what the framework makes of it. */
const asked = (ip: string, headers: Record<string, string> = HEADERS) => ({
  ...{ headers, ip, remoteAddress: '10.0.0.1', protocol: 'https' },
});

describe('what an upstream is told of the way behind a request', () => {
  it('is what a trusted proxy says, and the proxy itself', () => {
    expect(forwardedHeaders(asked('203.0.113.7'), 'front')).toEqual({
      'x-forwarded-for': '203.0.113.7, 10.0.0.1',
      'x-forwarded-host': 'shop.example',
      'x-forwarded-proto': 'https',
      forwarded: 'for=203.0.113.7',
      via: '1.1 front',
    });
  });

  it('is what is known here where a trusted proxy says nothing of the host', () => {
    const headers = forwardedHeaders(asked('203.0.113.7', { host: 'gateway.internal' }), 'front');
    expect(headers).toMatchObject({ 'x-forwarded-for': '10.0.0.1', 'x-forwarded-host': 'gateway.internal' });
  });

  it('is nothing that anybody else claims', () => {
    expect(forwardedHeaders(asked('10.0.0.1'), 'front')).toEqual({
      'x-forwarded-for': '10.0.0.1',
      'x-forwarded-host': 'gateway.internal',
      'x-forwarded-proto': 'https',
      via: '1.1 front',
    });
  });
});
