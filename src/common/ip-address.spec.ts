import { AddressList, networkOf, parseAddress } from './ip-address.ts';

describe('parseAddress', () => {
  it.each([
    ['192.0.2.1', '192.0.2.1'],
    ['192.0.2.1:443', '192.0.2.1'],
    ['::ffff:192.0.2.1', '192.0.2.1'],
    ['::FFFF:c000:0201', '192.0.2.1'],
    ['[::ffff:192.0.2.1]:80', '192.0.2.1'],
    ['2001:DB8:0:0::1', '2001:db8::1'],
    ['[2001:db8::1]:443', '2001:db8::1'],
    ['[2001:db8::1]', '2001:db8::1'],
    ['fe80::1%eth0', 'fe80::1'],
    [' 192.0.2.1 ', '192.0.2.1'],
  ])('reads %j as %j', (text, address) => {
    expect(parseAddress(text)).toBe(address);
  });

  it.each([
    '',
    'unknown',
    'garbage"><',
    '192.0.2.1.5',
    '192.0.2.256',
    '192.0.2.1:x',
    'localhost',
    undefined,
    null,
    1,
    {},
  ])('takes %j for none', (text) => {
    expect(parseAddress(text)).toBeUndefined();
  });
});

describe('networkOf', () => {
  it.each([
    ['192.0.2.1', 64, '192.0.2.1'],
    ['2001:db8:1:2:3:4:5:6', 64, '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', 64, '2001:db8:1:2::/64'],
    ['2001:db8:1:2ff::9', 56, '2001:db8:1:200::/56'],
    ['2001:db8:ffff::', 33, '2001:db8:8000::/33'],
    ['::1', 64, '::/64'],
    ['2001:db8::1', 128, '2001:db8::1'],
  ])('of %s with %d bits is %s', (address, bits, network) => {
    expect(networkOf(address, bits)).toBe(network);
  });
});

describe('AddressList', () => {
  it('holds addresses and networks of both families', () => {
    const list = new AddressList(['192.0.2.7', '10.0.0.0/8', '2001:db8::/32']);
    expect(['192.0.2.7', '10.9.9.9', '2001:db8:9::1'].every((address) => list.has(address))).toBe(true);
    expect(['192.0.2.8', '11.0.0.1', '2001:db9::1', undefined].some((address) => list.has(address))).toBe(false);
  });
});
