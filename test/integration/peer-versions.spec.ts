const majorOf = (name: string): string =>
  jest.requireActual<{ version: string }>(`${name}/package.json`).version.split('.')[0]!;

describe('the versions of the peers', () => {
  it('are those the tests are started with: the newest, or by npm run test:matrix others', () => {
    expect(majorOf('@nestjs/common')).toBe(process.env['KEEP_NEST'] ?? '12');
    expect(majorOf('@nestjs/core')).toBe(process.env['KEEP_NEST'] ?? '12');
    expect(majorOf('ioredis')).toBe(process.env['KEEP_IOREDIS'] ?? '6');
  });
});
