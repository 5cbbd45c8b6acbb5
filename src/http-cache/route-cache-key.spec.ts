import 'reflect-metadata';
import { Controller, Get, Version } from '@nestjs/common';
import { routeKeyOf, routeNameOf } from './route-cache-key.ts';

const keyOf = (url: string) => routeKeyOf('Items.find', { url });

describe('the key of a route', () => {
  it('holds the path and the query, sorted by name', () => {
    expect(keyOf('/items/1')).toBe('Items.find:/items/1');
    expect(keyOf('/items?b=2&a=1&&c')).toBe('Items.find:/items?a=1&b=2&c');
    expect(keyOf('/items?')).toBe('Items.find:/items');
  });

  it.each([
    ['?a=1&b=2&a=3', '?b=2&a=1&a=3'],
    ['?a[0]=1&b=2&a=3', '?b=2&a[0]=1&a=3'],
    ['?%61=1&b=2&a=3', '?b=2&%61=1&a=3'],
  ])('is the same for %s and %s', (first, second) => {
    expect(keyOf(`/items${first}`)).toBe(keyOf(`/items${second}`));
  });

  it.each([
    ['?a=1&a=2', '?a=2&a=1'],
    ['?a[]=1&a=2', '?a=2&a[]=1'],
    ['?a%5B%5D=1&a=2', '?a=2&a%5B%5D=1'],
    ['?%61=1&a=2', '?a=2&%61=1'],
    ['?a=%FF', '?a=%FE'],
    ['?a=1?b', '?a=1'],
    ['?a=b%26c=d', '?a=b&c=d'],
    ['', '?a'],
    ['?a', '?a='],
    ['', '/'],
  ])('is another for %s and %s', (first, second) => {
    expect(keyOf(`/items${first}`)).not.toBe(keyOf(`/items${second}`));
  });

  it('prefers the URL that the client asked for to what a router has left of it', () => {
    expect(routeKeyOf('Items.find', { url: '/1', originalUrl: '/items/1' })).toBe('Items.find:/items/1');
  });

  it('holds what a controller reads from the host', () => {
    expect(routeKeyOf('Items.find', { url: '/', hosts: { tenant: 'a:b' } })).toBe('Items.find;tenant=a%3Ab:/');
  });

  it('lets no client choose the slot of a cluster', () => {
    expect(keyOf('/{a}?{b}')).toBe('Items.find:/%7Ba%7D?%7Bb%7D');
  });
});

describe('the name of a route', () => {
  @Controller({ version: '1', host: ':tenant.example.com' })
  class Items {
    @Get()
    async first(): Promise<string> {
      return Promise.resolve('1');
    }

    @Version(['2', '3'])
    @Get()
    async second(): Promise<string> {
      return Promise.resolve('2');
    }
  }
  const nameOf = (property: 'first' | 'second') => routeNameOf(Items, Reflect.get(Items.prototype, property), property);

  it('tells versions and hosts apart', () => {
    expect(nameOf('first')).toBe('Items.first;version=1;host=%3Atenant.example.com');
    expect(nameOf('second')).toBe('Items.second;version=2%2C3;host=%3Atenant.example.com');
    expect(routeNameOf({ name: 'Plain' }, () => undefined, 'find')).toBe('Plain.find');
  });
});
