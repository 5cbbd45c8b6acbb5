/**
 * The compiler is the judge (`npm run typecheck`): every `@ts-expect-error` is a line that must not compile. At run
 * time the lines only have to do what their types promise.
 */
import { defineKey, pattern } from '../../src/common/define-key.ts';

describe('the types of defineKey', () => {
  it('take the names of the parameters from the template', () => {
    const feed = defineKey('feed:{userId}:page:{page}');
    expect(feed({ userId: 42n, page: new Date(0) })).toMatch(/^feed:42:page:1970/);
    const parsed: Record<'userId' | 'page', string> | undefined = feed.parse('feed:42:page:1');
    expect(parsed?.page.length).toBe(1);
    // @ts-expect-error -- not a parameter of this template
    expect(parsed?.user).toBeUndefined();
  });

  it('refuse missing, misspelled and unusable parameters', () => {
    const feed = defineKey('feed:{userId}');
    // @ts-expect-error -- a parameter is missing
    expect(() => feed({})).toThrow();
    // @ts-expect-error -- all parameters are missing
    expect(() => feed()).toThrow();
    // @ts-expect-error -- another name
    expect(() => feed({ userID: 1 })).toThrow();
    // @ts-expect-error -- not a name of anything
    expect(() => feed({ userId: { id: 1 } })).toThrow();
    // @ts-expect-error -- null names nothing
    expect(() => feed({ userId: null })).toThrow();
  });

  it('let a pattern leave parameters out, but not set them to undefined', () => {
    const feed = defineKey('feed:{userId}:page:{page}');
    expect(feed.pattern({ page: 1 })).toBe('feed:*:page:1');
    // @ts-expect-error -- an id that is not there must not become "any"
    expect(() => feed.pattern({ userId: undefined })).toThrow();
    // @ts-expect-error -- another name
    expect(feed.pattern({ user: 1 })).toBe('feed:*:page:*');
  });

  it('need no parameters where the template has none', () => {
    const settings = defineKey('settings');
    expect(settings()).toBe('settings');
    // @ts-expect-error -- there is nothing to fill in
    expect(settings({ id: 1 })).toBe('settings');
  });

  it('accept any names for a template that is known at run time only', () => {
    const template: string = ['x', '{id}'].join(':');
    expect(defineKey(template)({ id: 1 })).toBe('x:1');
    expect(defineKey(template).parse('x:1')).toEqual({ id: '1' });
  });

  it('let only names into a pattern', () => {
    expect(pattern`feed:${1}:${true}:${2n}`).toBe('feed:1:true:2');
    // @ts-expect-error -- undefined names nothing
    expect(() => pattern`feed:${undefined}:*`).toThrow();
  });
});
