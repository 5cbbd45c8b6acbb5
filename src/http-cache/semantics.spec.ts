import {
  ageOnArrival,
  appended,
  bodyFault,
  cacheStatusOf,
  cookiesOf,
  dateOf,
  directivesOf,
  durationOf,
  etagOf,
  fitnessOf,
  headFault,
  hostOf,
  type HttpHeaders,
  invalidatedPaths,
  isInNotModified,
  isNotModified,
  isUnsafe,
  legacyStatusOf,
  lifetimeOf,
  listMembers,
  pathOf,
  queryOf,
  requestDirectivesOf,
  statusName,
  storedHeaders,
  updatedHeaders,
  variantOf,
  varyNamesOf,
} from './semantics.ts';

describe('lists in headers', () => {
  it.each([
    ['a, b ,, c', ['a', 'b', 'c']],
    ['"a,b", c', ['"a,b"', 'c']],
    [String.raw`"a\",b", c`, [String.raw`"a\",b"`, 'c']],
    ['', []],
  ])('are taken apart: %s', (value, members) => {
    expect(listMembers(value)).toEqual(members);
  });

  it('are one, however many lines they come in', () => {
    expect(directivesOf({ 'cache-control': ['max-age=1', 'no-store'] }).has('no-store')).toBe(true);
  });
});

describe('dates', () => {
  it.each(['Sun, 06 Nov 1994 08:49:37 GMT', 'Sunday, 06-Nov-94 08:49:37 GMT', 'Sun Nov  6 08:49:37 1994'])(
    'have three forms: %s',
    (text) => {
      expect(dateOf(text)).toBe(784_111_777_000);
    },
  );

  it.each(['0', '-1', '', '2026-01-01', 'Sun, nonsense'])('are not: %s', (text) => {
    expect(dateOf(text)).toBeUndefined();
  });
});

describe('Cache-Control', () => {
  const maxAge = (value: string) => durationOf(directivesOf({ 'cache-control': value }), 'max-age');

  it.each([
    ['max-age=5', 5_000],
    ['MAX-AGE=5', 5_000],
    ['max-age="5"', 5_000],
    ['max-age=5, max-age=9', 5_000],
    ['a="x, max-age=9", max-age=5', 5_000],
    ['max-age=99999999999', 2 ** 31 * 1_000],
    ['max-age=-5', 0],
    ['max-age=5.5', 0],
    ["max-age='5'", 0],
    ['max-age=5a', 0],
    ['max-age', 0],
    ['max-age =5', undefined],
    ['xmax-age=5', undefined],
  ])('%s', (value, ms) => {
    expect(maxAge(value)).toBe(ms);
  });
});

describe('what may be stored', () => {
  const fault = (headers: HttpHeaders, more: Partial<Parameters<typeof headFault>[0]> = {}) =>
    headFault({
      status: 200,
      headers,
      requestHeaders: {},
      audience: 'shared',
      isDeclaredPublic: false,
      statuses: new Map(),
      ...more,
    });

  it.each([200, 203, 301, 308])('a %i', (status) => {
    expect(fault({}, { status })).toBeUndefined();
  });

  it.each([201, 202, 204, 302, 307, 404, 410, 500, 503])('a %i only when it is asked for, if at all', (status) => {
    expect(fault({}, { status })).toBe('status');
    expect(fault({}, { status, statuses: new Map([[status, 1]]) })).toBe(status >= 500 ? 'status' : undefined);
  });

  it.each([100, 103, 206, 304, 401, 403, 429, 500])('never a %i', (status) => {
    expect(fault({}, { status, statuses: new Map([[status, 1]]) })).toBe('status');
  });

  it.each([
    [{ 'cache-control': 'no-store' }, 'no-store'],
    [{ 'cache-control': 'max-age=5, No-Cache' }, 'no-cache'],
    [{ 'cache-control': 'private' }, 'private'],
    [{ 'cache-control': 'private="x-a"' }, 'private'],
    [{ vary: 'accept, *' }, 'vary'],
    [{ 'set-cookie': ['a=1'] }, 'set-cookie'],
    [{ 'content-type': 'text/event-stream; charset=utf-8' }, 'event-stream'],
    [{ 'access-control-allow-origin': 'https://a.example' }, 'cors'],
    [{ 'access-control-allow-origin': 'https://a.example', vary: 'accept, Origin' }, undefined],
    [{ 'access-control-allow-origin': '*' }, undefined],
    [{ 'cache-control': 'max-age=5', vary: 'accept' }, undefined],
  ])('%j: %s', (headers: HttpHeaders, detail) => {
    expect(fault(headers)).toBe(detail);
  });

  it('what is private for the one user it is for', () => {
    expect(fault({ 'cache-control': 'private' }, { audience: 'user' })).toBeUndefined();
  });

  it('an answer to a request with credentials when somebody says that it is for all', () => {
    const requestHeaders = { authorization: 'Bearer a' };
    expect(fault({}, { requestHeaders })).toBe('authorization');
    expect(fault({}, { requestHeaders, isDeclaredPublic: true })).toBeUndefined();
    expect(fault({}, { requestHeaders, audience: 'user' })).toBeUndefined();
    for (const directive of ['public', 's-maxage=1', 'must-revalidate']) {
      expect(fault({ 'cache-control': directive }, { requestHeaders })).toBeUndefined();
    }
  });

  it('a body that is whole, as long as it says, and not too long', () => {
    const body = { headers: {}, bytes: 10, maxBytes: 10, isWhole: true };
    expect(bodyFault(body)).toBeUndefined();
    expect(bodyFault({ ...body, bytes: 11 })).toBe('too-large');
    expect(bodyFault({ ...body, isWhole: false })).toBe('aborted');
    expect(bodyFault({ ...body, headers: { 'content-length': '11' } })).toBe('length');
    expect(bodyFault({ ...body, headers: { 'content-length': 10 } })).toBeUndefined();
  });
});

describe('how long a response may be served', () => {
  const defaults = { freshMs: 7, revalidateMs: 8, errorMs: 9 };
  const date = 'Sun, 06 Nov 1994 08:49:37 GMT';
  const lifetime = (headers: HttpHeaders) => lifetimeOf(headers, defaults, 784_111_777_000);

  it.each([
    [{ 'cache-control': 's-maxage=1, max-age=2' }, 1_000],
    [{ 'cache-control': 'max-age=2', expires: date }, 2_000],
    [{ expires: 'Sun, 06 Nov 1994 08:49:40 GMT' }, 3_000],
    [{ expires: 'Sun, 06 Nov 1994 08:49:40 GMT', date: 'Sun, 06 Nov 1994 08:49:36 GMT' }, 4_000],
    [{ expires: '0' }, 0],
    [{ expires: date }, 0],
    [{ 'cache-control': 'max-age=x' }, 0],
    [{ 'last-modified': 'Sun, 06 Nov 1984 08:49:37 GMT' }, 7],
    [{}, 7],
  ])('%j: fresh for %i ms', (headers: HttpHeaders, freshMs) => {
    expect(lifetime(headers).freshMs).toBe(freshMs);
  });

  it('stale as the response says, else by default', () => {
    expect(lifetime({})).toMatchObject({ revalidateMs: 8, errorMs: 9, isStaleForbidden: false });
    expect(lifetime({ 'cache-control': 'stale-while-revalidate=1, stale-if-error=2' })).toMatchObject({
      revalidateMs: 1_000,
      errorMs: 2_000,
    });
  });

  it.each(['must-revalidate', 'proxy-revalidate', 's-maxage=5', 'no-cache'])('never stale with %s', (directive) => {
    const headers = { 'cache-control': `${directive}, stale-while-revalidate=9, stale-if-error=9` };
    expect(lifetime(headers)).toMatchObject({ revalidateMs: 0, errorMs: 0, isStaleForbidden: true });
  });

  it.each([
    [{ age: '5' }, 5_500],
    [{ age: '5, 9' }, 5_500],
    [{ age: '-5' }, 500],
    [{ age: '5.0' }, 500],
    [{ age: 'x' }, 500],
    [{ date }, 2_000],
    [{ date, age: '1' }, 2_000],
    [{ date: 'Sun, 06 Nov 1994 09:49:37 GMT' }, 500],
  ])('its age on arrival counts: %j', (headers: HttpHeaders, ms) => {
    expect(ageOnArrival(headers, { requestedAtMs: 784_111_778_500, receivedAtMs: 784_111_779_000 })).toBe(ms);
  });
});

describe('what a client asks for', () => {
  const fitness = (cacheControl: string | undefined, ageMs: number, isStaleForbidden = false) =>
    fitnessOf(requestDirectivesOf(cacheControl === undefined ? {} : { 'cache-control': cacheControl }), {
      ageMs,
      freshMs: 10_000,
      isStaleForbidden,
    });

  it.each([
    [undefined, 9_999, 'fits'],
    [undefined, 10_000, 'stale'],
    ['no-cache', 0, 'reload'],
    ['max-age=0', 0, 'reload'],
    ['max-age=5', 5_000, 'fits'],
    ['max-age=5', 5_001, 'reload'],
    ['max-age=50', 10_001, 'stale'],
    ['min-fresh=5', 5_000, 'fits'],
    ['min-fresh=5', 5_001, 'reload'],
    ['max-stale', 1_000_000, 'fits-stale'],
    ['max-stale=5', 14_999, 'fits-stale'],
    ['max-stale=5', 15_000, 'stale'],
    ['max-stale=x', 10_001, 'stale'],
  ])('%s of a response aged %i ms of 10 s: %s', (cacheControl, ageMs, expected) => {
    expect(fitness(cacheControl, ageMs)).toBe(expected);
  });

  it('is no reason to serve stale what forbids it', () => {
    expect(fitness('max-stale', 10_001, true)).toBe('stale');
  });

  it('is read from Pragma where Cache-Control says nothing', () => {
    expect(requestDirectivesOf({ pragma: 'no-cache' }).noCache).toBe(true);
    expect(requestDirectivesOf({ pragma: 'no-cache', 'cache-control': 'max-age=5' }).noCache).toBe(false);
    expect(requestDirectivesOf({ pragma: 'x' }).noCache).toBe(false);
  });
});

describe('validators', () => {
  const etag = 'W/"abc"';
  it.each([
    [{ 'if-none-match': 'W/"abc"' }, true],
    [{ 'if-none-match': '"abc"' }, true],
    [{ 'if-none-match': '"x", "a,b" , "abc"' }, true],
    [{ 'if-none-match': '*' }, true],
    [{ 'if-none-match': '"ABC"' }, false],
    [{ 'if-none-match': 'abc' }, false],
    [{ 'if-none-match': '' }, false],
    [{ 'if-none-match': '"x"', 'if-modified-since': 'Sun, 06 Nov 1994 08:49:37 GMT' }, false],
    [{ 'if-modified-since': 'Sun, 06 Nov 1994 08:49:37 GMT' }, true],
    [{ 'if-modified-since': 'Sun, 06 Nov 1994 08:49:36 GMT' }, false],
    [{ 'if-modified-since': 'x' }, false],
    [{}, false],
  ])('%j: not modified %s', (requestHeaders: HttpHeaders, expected) => {
    const headers = { etag, 'last-modified': 'Sun, 06 Nov 1994 08:49:37 GMT' };
    expect(isNotModified(requestHeaders, headers)).toBe(expected);
  });

  it('are what a 304 carries, with what it says about time and place, and nothing about a body (HTTP-19)', () => {
    const said = ['cache-control', 'content-location', 'date', 'etag', 'expires', 'vary', 'age', 'cache-status'];
    const unsaid = ['content-type', 'content-length', 'content-encoding', 'last-modified', 'set-cookie'];
    expect([...said, ...unsaid].filter(isInNotModified)).toEqual(said);
  });

  it('are made of the bytes of the body', () => {
    expect(etagOf(Buffer.from('a'))).toMatch(/^W\/"[\w-]{22}"$/);
    expect(etagOf(Buffer.from('a'))).toBe(etagOf(Buffer.from('a')));
    expect(etagOf(Buffer.from('a'))).not.toBe(etagOf(Buffer.from('b')));
  });
});

describe('variants', () => {
  const variant = (name: string, value: string | undefined, languages?: string[]) =>
    variantOf([name], { [name]: value }, { languages });

  it('are named by what the response varies on', () => {
    expect(varyNamesOf({ vary: ['Accept-Language, Accept', 'accept'] })).toEqual(['accept', 'accept-language']);
    expect(varyNamesOf({})).toEqual([]);
    expect(variantOf(['a', 'b'], { a: '1', b: '2' })).not.toBe(variantOf(['a', 'b'], { a: '1,b=2' }));
  });

  it.each([
    ['accept-encoding', 'gzip, br', 'br;q=1,gzip'],
    ['accept-encoding', undefined, 'deflate'],
    ['accept-encoding', 'gzip;q=0', 'identity'],
    ['accept-encoding', 'br', '*'],
    ['accept-language', 'en,  de', 'en, de'],
    ['foo', '1,2', '1 ,  2'],
  ])('%s: the same for %s and %s', (name, one, other) => {
    expect(variant(name, one)).toBe(variant(name, other));
  });

  it.each([
    ['accept-encoding', 'gzip', 'br'],
    ['accept-encoding', 'gzip', undefined],
    ['accept-language', 'en', 'de'],
    ['foo', undefined, ''],
    ['foo', undefined, '-'],
    ['foo', 'a', 'A'],
    ['foo', 'a b', 'ab'],
  ])('%s: others for %s and %s', (name, one, other) => {
    expect(variant(name, one)).not.toBe(variant(name, other));
  });

  it.each([
    ['fr-CH, en;q=0.5', 'fr'],
    ['de, en;q=0.1', 'en'],
    ['en;q=0.1, *;q=0.5', 'fr'],
    ['en;q=0.4, fr;q=0.5', 'fr'],
    ['*', 'en'],
    ['de', 'en'],
    [undefined, 'en'],
  ])('a client that speaks %s gets %s of en and fr', (value, expected) => {
    expect(variant('accept-language', value, ['en', 'fr'])).toBe(`accept-language=${expected}`);
  });
});

describe('the key', () => {
  it.each([
    ['/a', '/a'],
    ['/%61%7e%2f%c3%a9', '/a~%2F%C3%A9'],
    ['/A/b/', '/A/b/'],
    ['/a?x', '/a'],
    ['/a#x', '/a'],
    ['/{a}', '/%7Ba%7D'],
    ['/a%', '/a%25'],
    ['/\u00e9', '/%E9'],
    ['http://evil.example/a', undefined],
    ['*', undefined],
    ['', undefined],
  ])('path of %s: %s', (url, path) => {
    expect(pathOf(url)).toBe(path);
  });

  const ignore = ['utm_*', 'fbclid'];
  it.each([
    ['/a', ''],
    ['/a?', ''],
    ['/a?b=2&a=1&&c', '?a=1&b=2&c'],
    ['/a?a=2&a=1', '?a=2&a=1'],
    ['/a?a[]=2&b&a=1', '?a[]=2&a=1&b'],
    ['/a?%61=2&b&a=1', '?%61=2&a=1&b'],
    ['/a?utm_source=x&fbclid=1&fbclid2=1', '?fbclid2=1'],
    ['/a?x={1}', '?x=%7B1%7D'],
    ['/a?x=1?y', '?x=1?y'],
    ['/a?x=%FF', '?x=%FF'],
  ])('query of %s: %s', (url, query) => {
    expect(queryOf(url, { ignore })).toBe(query);
  });

  it('holds only the parameters that are listed, if any are', () => {
    expect(queryOf('/a?c=1&b=2&a=3', { ignore, only: ['a', 'c'] })).toBe('?a=3&c=1');
    expect(queryOf('/a?c=1', { ignore, only: [] })).toBe('');
  });

  it.each([
    ['A.Example', 'a.example'],
    ['a.example:80', 'a.example'],
    ['a.example:443', 'a.example'],
    ['a.example:8080', 'a.example:8080'],
    ['[::1]:3000', '[::1]:3000'],
    ['', ''],
    ['a.example/x', undefined],
    ['a b', undefined],
    ['a\nb', undefined],
  ])('host %j: %s', (host, expected) => {
    expect(hostOf(host)).toBe(expected);
  });

  it('reads the listed cookies only', () => {
    expect(cookiesOf('b=2; a=1;x=9', ['a', 'b'])).toBe('a=1; b=2');
    expect(cookiesOf('ab=2', ['a'])).toBe('');
    expect(cookiesOf(undefined, ['a'])).toBe('');
  });
});

describe('what is replayed', () => {
  it('is nothing about a connection, a client or a moment', () => {
    const headers = {
      'content-type': 'text/plain',
      'content-length': 3,
      'set-cookie': ['a=1'],
      connection: 'close, X-Hop',
      'x-hop': '1',
      'proxy-authenticate': 'Basic',
      'x-ratelimit-limit': '1',
      'x-request-id': 'a',
      date: 'now',
      age: '1',
      'x-own': ['1', '2'],
      'x-secret': '1',
    };
    expect(storedHeaders(headers, new Set(['x-secret']))).toEqual([
      ['content-type', 'text/plain'],
      ['content-length', '3'],
      ['x-own', ['1', '2']],
    ]);
  });

  it.each([
    ...[
      'Set-Cookie',
      'Date',
      'Connection',
      'Keep-Alive',
      'Transfer-Encoding',
      'Upgrade',
      'Proxy-Authenticate',
      'Proxy-Any',
    ],
    ...['RateLimit', 'RateLimit-Policy', 'X-RateLimit-Remaining', 'Retry-After', 'Server-Timing', 'traceparent'],
    ...['tracestate', 'X-Request-Id', 'Age', 'Cache-Status', 'X-Cache'],
  ])('is not %s (HTTP-24)', (name) => {
    for (const spelling of [name, name.toLowerCase()]) expect(storedHeaders({ [spelling]: '1' })).toEqual([]);
  });

  it('is what a 304 says anew, except about the body', () => {
    const stored = [
      ['etag', '"1"'],
      ['content-type', 'a/b'],
      ['x-a', '1'],
      ['x-b', '1'],
    ] as const;
    const headers = { etag: '"2"', 'content-type': 'c/d', 'content-length': '0', 'x-a': '2', date: 'now' };
    expect(updatedHeaders(stored, headers)).toEqual([
      ['etag', '"1"'],
      ['content-type', 'a/b'],
      ['x-b', '1'],
      ['x-a', '2'],
    ]);
  });
});

describe('Cache-Status', () => {
  const name = statusName('nestjs-keep');
  it.each([
    [{ kind: 'hit', ttlMs: 37_900 }, '"nestjs-keep";hit;ttl=37', 'HIT'],
    [{ kind: 'hit', ttlMs: -3_100 }, '"nestjs-keep";hit;ttl=-4', 'STALE'],
    [{ kind: 'forward', forward: 'uri-miss', isStored: true }, '"nestjs-keep";fwd=uri-miss;stored', 'MISS'],
    [{ kind: 'forward', forward: 'uri-miss', isCollapsed: true }, '"nestjs-keep";fwd=uri-miss;collapsed', 'MISS'],
    [
      { kind: 'forward', forward: 'uri-miss', isStored: false, detail: 'set-cookie' },
      '"nestjs-keep";fwd=uri-miss;stored=?0;detail=set-cookie',
      'MISS',
    ],
    [
      { kind: 'forward', forward: 'stale', status: 503, detail: 'stale-if-error' },
      '"nestjs-keep";fwd=stale;fwd-status=503;detail=stale-if-error',
      'STALE',
    ],
    [{ kind: 'forward', forward: 'bypass', detail: 'cookie' }, '"nestjs-keep";fwd=bypass;detail=cookie', 'BYPASS'],
  ] as const)('%j', (outcome, status, legacy) => {
    expect(cacheStatusOf(name, outcome)).toBe(status);
    expect(legacyStatusOf(outcome)).toBe(legacy);
  });

  it('comes after what caches behind this one say', () => {
    expect(appended('"up";hit', '"own";hit;ttl=1')).toBe('"up";hit, "own";hit;ttl=1');
    expect(appended(undefined, '"own";hit')).toBe('"own";hit');
  });

  it('quotes its name', () => {
    expect(statusName('a"b\\c')).toBe(String.raw`"a\"b\\c"`);
  });
});

describe('what an unsafe request makes out of date', () => {
  const paths = (headers: HttpHeaders, status = 200) =>
    invalidatedPaths({ url: '/items/1?x=1', host: 'shop.example', status, headers });

  it.each([
    [{}, ['/items/1']],
    [{ location: '/items/2?y' }, ['/items/1', '/items/2']],
    [{ location: 'http://shop.example/items/3', 'content-location': '4' }, ['/items/1', '/items/3', '/items/4']],
    [{ location: 'http://other.example/items/5' }, ['/items/1']],
    [{ location: 'http://[bad' }, ['/items/1']],
  ])('%j: %j', (headers: HttpHeaders, expected) => {
    expect(paths(headers)).toEqual(expected);
  });

  it.each([100, 400, 404, 500])('is nothing when it failed with %i', (status) => {
    expect(paths({}, status)).toEqual([]);
  });

  it('depends on the method', () => {
    expect(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'POST', 'PUT', 'PATCH', 'DELETE', 'PURGE'].map(isUnsafe)).toEqual([
      false,
      false,
      false,
      false,
      true,
      true,
      true,
      true,
      true,
    ]);
  });
});
