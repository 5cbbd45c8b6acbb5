import { rewrittenLocation, targetPath, wildcardOf } from './target-path.ts';

describe('targetPath', () => {
  it.each([
    ['/123?x=1', '/base/123?x=1'],
    ['/', '/base/'],
    ['/a//b', '/base/a//b'],
    ['/a%20b/%C3%A9', '/base/a%20b/%C3%A9'],
    ['/..a/b..', '/base/..a/b..'],
    ['/a?next=/../b', '/base/a?next=/../b'],
  ])('takes %s', (path, target) => {
    expect(targetPath('/base', path)).toBe(target);
  });

  it.each([
    ...[
      '',
      'a',
      '//evil',
      '//evil/a',
      '/..',
      '/../a',
      '/a/../../b',
      '/a/..',
      '/./a',
      '/%2e%2e/a',
      '/.%2E/a',
      '/..;x=1/a',
    ],
    ...[
      '/a%2fb',
      '/a%2F..%2Fb',
      '/a%5cb',
      '/a\\b',
      '/a%00',
      '/a%0d%0ab',
      '/a\r\nb',
      '/a b',
      '/a#b',
      '/a%zz',
      '/a%7f',
      '/é',
    ],
  ])('refuses %j', (path) => {
    expect(targetPath('/base', path)).toBeUndefined();
  });
});

describe('wildcardOf', () => {
  it.each([
    ['/gateway/orders/*path', '/gateway/orders/123?x=1', { mount: '/gateway/orders', path: '/123?x=1' }],
    ['/gateway/:service/*path', '/gateway/a%2Fb/c', { mount: '/gateway/a%2Fb', path: '/c' }],
    ['/gateway{/*path}', '/gateway', { mount: '/gateway', path: '/' }],
    ['/*path', '/a/b?', { mount: '', path: '/a/b?' }],
  ])('%s of %s', (pattern, url, wildcard) => {
    expect(wildcardOf(pattern, url)).toEqual(wildcard);
  });

  it('is none where there is no wildcard', () => {
    expect(wildcardOf('/gateway/orders', '/gateway/orders')).toBeUndefined();
  });
});

describe('rewrittenLocation', () => {
  const placement = { origin: 'http://orders:3000', basePath: '/base', mount: '/gateway/orders' };

  it.each([
    ['/base/7?x#y', '/gateway/orders/7?x#y'],
    ['http://orders:3000/base', '/gateway/orders'],
    ['//orders:3000/base/7', '/gateway/orders/7'],
    ['http://orders:3000/elsewhere', '/elsewhere'],
    ['/basement', '/basement'],
    ['https://elsewhere.example/base/7', 'https://elsewhere.example/base/7'],
    ['7', '7'],
  ])('%s', (location, rewritten) => {
    expect(rewrittenLocation(location, placement)).toBe(rewritten);
  });

  it('is a plain path where it is not known what stands in front', () => {
    expect(rewrittenLocation('http://orders:3000/base/7', { ...placement, mount: undefined })).toBe('/base/7');
  });
});
