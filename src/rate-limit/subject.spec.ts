import type { Caller } from '../common/caller.ts';
import { resolvePolicy, type RateLimitPolicy } from './rate-limit.policy.ts';
import { Subjects } from './subject.ts';

const NO_REQUEST = { headers: {}, body: {}, params: {}, query: {} };
const caller = (given: Partial<Caller>): Caller => ({
  ...{ request: NO_REQUEST, user: undefined, ip: '192.0.2.1', remoteAddress: '198.51.100.1' },
  ...given,
});
const subjectOf = (by: RateLimitPolicy['by'], given: Partial<Caller>, ipv6Prefix = 64): string =>
  new Subjects(ipv6Prefix).of(
    resolvePolicy({ name: 'api', limit: 1, window: '1m', ...(by && { by }) }, { onOutage: 'local' }),
    caller(given),
  );

describe('who is counted', () => {
  it.each([
    [{ user: { id: 42 } }, 'user:42'],
    [{ user: { userId: 'ann' } }, 'user:ann'],
    [{ user: { sub: 'ann' } }, 'user:ann'],
    [{ user: { id: '', sub: 'ann' } }, 'user:ann'],
    [{ user: { id: { toString: () => 'ann' } } }, 'ip:192.0.2.1'],
    [{ user: null }, 'ip:192.0.2.1'],
    [{ user: 'ann' }, 'ip:192.0.2.1'],
    [{ ip: undefined, remoteAddress: undefined }, 'caller:unknown'],
  ])('is the user, or else the address: %j', (given: Partial<Caller>, subject) => {
    expect(subjectOf(undefined, given)).toBe(subject);
  });

  it('is nobody else by an id that holds separators', () => {
    const [forged, both] = [{ user: { id: 'ann:ip:192.0.2.1' } }, { user: { id: 'ann' } }];
    expect(subjectOf('user', forged)).not.toBe(subjectOf('user-and-ip', both));
    expect(subjectOf('user', { user: { id: 'a:b' } })).toBe('user:a%3Ab');
  });

  it('is each user at each address, where the policy says so, and the address without a user', () => {
    const at = (ip: string, user?: object) => subjectOf('user-and-ip', { ip, user });
    expect(at('192.0.2.1', { id: 1 })).toBe('user:1:ip:192.0.2.1');
    expect(new Set([at('192.0.2.1', { id: 1 }), at('192.0.2.2', { id: 1 }), at('192.0.2.1', { id: 2 })]).size).toBe(3);
    expect(at('192.0.2.1')).toBe('ip:192.0.2.1');
  });

  it.each([
    ['::ffff:192.0.2.1', 'ip:192.0.2.1'],
    ['192.0.2.1:8080', 'ip:192.0.2.1'],
    ['[2001:db8::7]:443', 'ip:2001:db8::/64'],
    ['2001:DB8:0:0:1:2:3:4', 'ip:2001:db8::/64'],
    ['2001:db8:0:1::4', 'ip:2001:db8:0:1::/64'],
    ['garbage"><', 'ip:198.51.100.1'],
  ])('is the network of the address in one form: %s', (ip, subject) => {
    expect(subjectOf('ip', { ip })).toBe(subject);
  });

  it('is as much of an IPv6 address as the options say', () => {
    expect(subjectOf('ip', { ip: '2001:db8:1:2::7' }, 48)).toBe('ip:2001:db8:1::/48');
    expect(subjectOf('ip', { ip: '2001:db8:1:2::7' }, 128)).toBe('ip:2001:db8:1:2::7');
  });

  it('is what a function says, and never passes for one of ours', () => {
    expect(subjectOf(() => 'phone 1', {})).toBe('phone 1');
    expect(subjectOf(() => 7, {})).toBe('7');
    for (const ours of ['user:42', 'ip:192.0.2.1', 'caller:unknown', 'value:x']) {
      expect(subjectOf(() => ours, {})).toBe(`value:${ours}`);
    }
  });

  it.each([undefined, null, '', '  ', NaN, {}, []])('is the address where a function finds nobody: %j', (found) => {
    expect(subjectOf(() => found, {})).toBe('ip:192.0.2.1');
  });

  it('is the address where a function fails', () => {
    expect(subjectOf((request) => (request.body as { phone: { number: string } }).phone.number, {})).toBe(
      'ip:192.0.2.1',
    );
  });
});
