import { inspect } from 'node:util';
import { hideSecrets } from './secrets.ts';

describe('hideSecrets', () => {
  const target = hideSecrets({ host: 'a', password: 'hunter2', token: null }, 'password', 'token');

  it('leaves the fields to code', () => {
    expect(target.password).toBe('hunter2');
    expect(Object.keys(target)).toEqual(['host', 'password', 'token']);
  });

  it.each([
    ['inspect', inspect(target, { depth: null, showHidden: true })],
    ['inspect of what holds it', inspect(new Map([['key', { target }]]), { depth: null })],
    ['JSON', JSON.stringify({ target })],
  ])('keeps them out of %s', (_way, text) => {
    expect(text).not.toContain('hunter2');
    expect(text).toContain('***');
    expect(text).toContain('host');
  });

  it('shows that a secret is not there', () => {
    expect(JSON.stringify(target)).toBe('{"host":"a","password":"***","token":null}');
  });
});
