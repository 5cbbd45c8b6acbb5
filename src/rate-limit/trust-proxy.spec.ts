import type { Caller } from '../common/caller.ts';
import { ProxyWarnings, trustOf } from './trust-proxy.ts';

const express = (setting: unknown) => ({ get: (name: string) => (name === 'trust proxy' ? setting : undefined) });
const fastify = (trustProxy: unknown) => ({ initialConfig: {}, [Symbol('fastify.options')]: { trustProxy } });

describe('whose word about addresses is taken', () => {
  it.each([
    [true, 'all'],
    [1, 'hops'],
    [0, 'none'],
    [false, 'none'],
    [undefined, 'none'],
    ['', 'none'],
    ['10.0.0.0/8', 'some'],
    [['10.0.0.1'], 'some'],
    [() => true, 'some'],
  ])('%p is %s, on both platforms', (setting, trust) => {
    expect([trustOf(express(setting)), trustOf(fastify(setting))]).toEqual([trust, trust]);
  });

  it('is nobody’s on a platform that shows no options', () => {
    expect(trustOf({ initialConfig: {} })).toBe('none');
  });
});

describe('a warning about forwarded addresses', () => {
  const warn = jest.fn();
  const warned = (setting: unknown, headers: Record<string, string>, calls = 1): readonly unknown[] => {
    warn.mockClear();
    const warnings = new ProxyWarnings({ warn });
    const request = { headers, body: {}, params: {}, query: {}, app: express(setting) };
    for (let i = 0; i < calls; i++) warnings.consider({ request } as unknown as Caller);
    return warn.mock.calls.flat();
  };

  it.each(['x-forwarded-for', 'forwarded'])(
    'comes once where %s is ignored, or believed of everybody (RL-08)',
    (name) => {
      expect(warned(false, { [name]: '192.0.2.1' }, 5)).toEqual([expect.stringContaining('are ignored')]);
      expect(warned(true, { [name]: '192.0.2.1' }, 5)).toEqual([expect.stringContaining('forged addresses')]);
    },
  );

  it('comes not where there are none, or where proxies are named', () => {
    expect(warned(false, {}, 5)).toEqual([]);
    expect(warned('10.0.0.0/8', { forwarded: 'for=192.0.2.1' }, 5)).toEqual([]);
  });
});
