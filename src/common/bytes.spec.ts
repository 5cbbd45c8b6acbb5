import { parseBytes } from './bytes.ts';

describe('parseBytes', () => {
  it.each([
    ['64mb', 67_108_864],
    ['1 MB', 1_048_576],
    ['32kb', 32_768],
    ['1.5kb', 1_536],
    ['1gb', 1_073_741_824],
    ['512b', 512],
    ['512', 512],
    ['0', 0],
    [1_000, 1_000],
    [0, 0],
  ])('reads %j as %d bytes', (size, bytes) => {
    expect(parseBytes(size)).toBe(bytes);
  });

  it.each(['', ' ', 'mb', '-1mb', '1tb', '1e3', '0x10', '1mb2', '1  mb', '1mb ', -1, 0.5, NaN, Infinity, '99999999gb'])(
    'does not take %j for a size',
    (size) => {
      expect(parseBytes(size)).toBeUndefined();
    },
  );
});
