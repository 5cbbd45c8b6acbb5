import fc from 'fast-check';
import { isHost, parseNodes, parseRedisUrl } from './redis-address.ts';

describe('parseRedisUrl', () => {
  it.each([
    ['redis://cache', { host: 'cache', tls: false }],
    ['rediss://cache', { host: 'cache', tls: true }],
    ['REDISS://cache:6380/', { host: 'cache', port: 6380, tls: true }],
    ['redis://127.0.0.1:6379/2', { host: '127.0.0.1', port: 6379, db: 2, tls: false }],
    ['redis://[::1]:6379', { host: '::1', port: 6379, tls: false }],
    ['redis://user:pass@cache', { host: 'cache', username: 'user', password: 'pass', tls: false }],
    ['redis://:pass@cache', { host: 'cache', password: 'pass', tls: false }],
    ['redis://user@cache', { host: 'cache', username: 'user', tls: false }],
  ])('reads %s', (url, expected) => {
    expect(parseRedisUrl(url)).toEqual(expected);
  });

  it('decodes whatever user and password are percent-encoded', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1, unit: 'grapheme' }), fc.string({ minLength: 1 }), (username, password) => {
        const url = `redis://${encodeURIComponent(username)}:${encodeURIComponent(password)}@cache:1/2`;
        expect(parseRedisUrl(url)).toEqual({ host: 'cache', port: 1, db: 2, tls: false, username, password });
      }),
    );
  });

  it.each([
    ['nothing', ''],
    ['no URL', 'cache:6379'],
    ['another scheme', 'http://cache'],
    ['no host', 'redis://'],
    ['no host but a user', 'redis://:pass@'],
    ['a port out of range', 'redis://cache:65536'],
    ['port zero', 'redis://cache:0'],
    ['a database that is no number', 'redis://cache/one'],
    ['a path', 'redis://cache/1/2'],
    ['a query, which nobody would read', 'redis://cache?db=1'],
    ['broken percent-encoding', 'redis://user:%zz@cache'],
    ['a password with an unencoded #', 'redis://user:12#34@cache'],
    ['a password with an unencoded /', 'redis://user:12/34@cache'],
    ['a password with an unencoded ?', 'redis://user:12?34@cache'],
    ['no text', 42],
    ['an object', {}],
  ])('refuses %s', (_fault, url) => {
    expect(parseRedisUrl(url)).toBeUndefined();
  });
});

describe('parseNodes', () => {
  it.each([
    ['a:1', { host: 'a', port: 1 }],
    ['a', { host: 'a', port: 26_379 }],
    ['10.0.0.1:6379', { host: '10.0.0.1', port: 6379 }],
    ['[::1]:6379', { host: '::1', port: 6379 }],
    ['[::1]', { host: '::1', port: 26_379 }],
    ['::1', { host: '::1', port: 26_379 }],
  ])('reads %s', (node, expected) => {
    expect(parseNodes([node], 26_379)).toEqual([expected]);
  });

  it('reads nodes that are objects, beside those that are text', () => {
    expect(parseNodes([{ host: 'a', port: 1 }, 'b:2'], 6379)).toEqual([
      { host: 'a', port: 1 },
      { host: 'b', port: 2 },
    ]);
  });

  it.each([
    ['no list', 'a:1'],
    ['an empty list', []],
    ['an empty node', ['']],
    ['one wrong node among others', ['a:1', 'b:none']],
    ['a wrong first node', ['a:', 'b:2']],
    ['a port out of range', ['a:65536']],
    ['port zero', ['a:0']],
    ['an object without port', [{ host: 'a' }]],
    ['a port that is text', [{ host: 'a', port: '1' }]],
    ['a URL', ['redis://a:1']],
    ['a user', ['user:pass@a:1']],
    ['null', [null]],
  ])('refuses %s', (_fault, nodes) => {
    expect(parseNodes(nodes, 6379)).toBeUndefined();
  });
});

describe('isHost', () => {
  it.each(['localhost', 'cache.example.com', '10.0.0.1', '::1', 'my_service-1'])('accepts %s', (host) => {
    expect(isHost(host)).toBe(true);
  });

  it.each(['', 'a b', 'a:1', 'redis://a', 'user@a', 'a/1', '[::1]', 'x'.repeat(254)])('refuses %p', (host) => {
    expect(isHost(host)).toBe(false);
  });
});
