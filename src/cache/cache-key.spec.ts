import { BadRequestException } from '@nestjs/common';
import { InvalidOptionsError } from '../common/errors.ts';
import type { Declaration, Method } from '../common/wrap-method.ts';
import { type CallFunction, keySourceOf } from './cache-key.ts';
import { type KeyContext, MethodTemplate } from './method-template.ts';

const declared = (method: (...args: never[]) => unknown): Declaration => ({
  prototype: {},
  property: 'find',
  name: 'Users.find',
  original: method as Method,
});
const find = declared((id: string, options: { page: number }) => [id, options]);

const keyOf = (key: string | CallFunction<string> | undefined, context: Partial<KeyContext>, declaration = find) =>
  keySourceOf(key, declaration).of({ name: 'Users.find', args: [], ...context });

describe('the default key', () => {
  const defaultKey = (...args: unknown[]) => keyOf(undefined, { args });

  it('holds the method and its arguments', () => {
    expect(defaultKey('42')).toBe('Users.find:["42"]');
  });

  it('tells values of different types apart (B09)', () => {
    const values = [undefined, null, 'null', '', 'undefined', 1, '1', NaN, 1n, true, 'true', [], {}];
    const when = new Date(0);
    const keys = [...values, when, when.toISOString()].map((value) => defaultKey(value));
    expect(new Set(keys).size).toBe(keys.length);
    expect(defaultKey()).not.toBe(defaultKey(undefined));
  });

  it('does not depend on the order of fields (B10)', () => {
    expect(defaultKey('1', { a: 1, b: 2 })).toBe(defaultKey('1', { b: 2, a: 1 }));
    expect(defaultKey('1', { a: undefined })).toBe(defaultKey('1', {}));
  });

  it('lets nobody choose the slot of a cluster', () => {
    expect(defaultKey('{a}', { page: 1 })).toBe('Users.find:["%7Ba%7D",%7B"page":1%7D]');
    expect(defaultKey('{')).not.toBe(defaultKey('%7B'));
  });

  it('leaves out what the method does not declare', () => {
    expect(defaultKey('1', { page: 1 }, () => undefined)).toBe(defaultKey('1', { page: 1 }));
  });

  it('holds everything where the method may read more than it declares', () => {
    const open = declared((...ids: string[]) => ids);
    expect(keyOf(undefined, { args: ['1', '2'] }, open)).toBe('Users.find:["1","2"]');
  });

  it('asks for a key where the arguments cannot make one', () => {
    const call = () => defaultKey('1', { page: () => 1 });
    expect(call).toThrow(InvalidOptionsError);
    expect(call).toThrow(/Users\.find[^]*page[^]*`key`/);
  });
});

describe('a key template of a method', () => {
  it.each([
    ['by position', 'user:{0}:{1.page}'],
    ['by name', 'user:{id}:{options.page}'],
  ])('reads arguments %s', (_, template) => {
    expect(keyOf(template, { args: ['a:b', { page: 2 }] })).toBe('user:a%3Ab:2');
  });

  it('refuses what is no argument when the class is defined', () => {
    const define = () => keySourceOf('user:{userId}', find);
    expect(define).toThrow(InvalidOptionsError);
    expect(define).toThrow(/Users\.find: key[^]*\{userId\}[^]*\{0\}/);
  });

  it('refuses braces that do not pair', () => {
    expect(() => keySourceOf('user:{id', find)).toThrow(/Users\.find: key[^]*user:\{id/);
  });

  it('never becomes an entry that everybody shares', () => {
    const call = () => keyOf('user:{id}', { args: [undefined] });
    expect(call).toThrow(InvalidOptionsError);
    expect(call).toThrow(/Users\.find: key[^]*\{id\}[^]*undefined/);
  });

  it('reads the result where there is one', () => {
    expect(keyOf('user:{result.id}', { result: { id: 7 } })).toBe('user:7');
    expect(new MethodTemplate('user:{result.id}', find, 'key').needsResult).toBe(true);
    expect(new MethodTemplate('user:{id}', find, 'key').needsResult).toBe(false);
  });

  it('prefers an argument to what else the name may mean', () => {
    const own = declared((result: string, params: string) => [result, params]);
    expect(keyOf('x:{result}:{params}', { args: ['a', 'b'], result: 'c', request: { params: 'd' } }, own)).toBe(
      'x:a:b',
    );
  });

  it('reads the request on a route', () => {
    const request = { params: { id: '1' }, query: { page: '2' }, user: { id: 3 }, ip: '::1', body: { name: 'n' } };
    const key = keyOf('x:{params.id}:{query.page}:{user.id}:{ip}:{body.name}', { request });
    expect(key).toBe('x:1:2:3:%3A%3A1:n');
  });

  it('reads the request where the handler has no arguments yet, whatever they are called', () => {
    const handler = declared((query: object) => query);
    const request = { query: { page: '2' } };
    expect(keyOf('x:{query.page}', { request, args: [{ page: 3 }] }, handler)).toBe('x:3');
    expect(keyOf('x:{query.page}', { request }, handler)).toBe('x:2');
    expect(() => keyOf('x:{query.size}', { request }, handler)).toThrow(BadRequestException);
  });

  it('blames the client for what the request leaves out, and nobody else for the rest', () => {
    const request = { query: {} };
    expect(() => keyOf('x:{query.page}', { request })).toThrow(new BadRequestException('query.page is required'));
    expect(() => keyOf('x:{user.id}', { request })).toThrow(InvalidOptionsError);
    expect(() => keyOf('x:{query.page}', {})).toThrow(InvalidOptionsError);
  });
});

describe('a key function', () => {
  it('gets the arguments', () => {
    expect(keyOf((id: string) => `user:${id}`, { args: ['1'] })).toBe('user:1');
  });

  it.each([undefined, '', ' ', 1])('must return a text, not %p', (key) => {
    expect(() => keyOf(() => key as string, {})).toThrow(/Users\.find: key[^]*not blank/);
  });
});
