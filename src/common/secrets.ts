import { inspect } from 'node:util';

/**
 * Keeps fields readable for code, but out of `console.log`, `util.inspect` and `JSON.stringify`: an object that
 * holds a password ends up in a log sooner or later. A copy made by spreading is not protected.
 */
export function hideSecrets<T extends object>(holder: T, ...fields: readonly string[]): T {
  const mask = (name: string, value: unknown) => (fields.includes(name) && value !== null ? '***' : value);
  const masked = () => Object.fromEntries(Object.entries(holder).map(([name, value]) => [name, mask(name, value)]));
  return Object.defineProperties(holder, { [inspect.custom]: { value: masked }, toJSON: { value: masked } });
}
