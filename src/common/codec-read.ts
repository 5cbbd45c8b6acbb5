import { ERROR_TAG, MAP_TAG, SET_TAG, looksTagged, untag } from './codec-tags.ts';
import { MAX_DEPTH } from './descent.ts';

/** An error takes two levels of JSON; what is deeper than any value we write is not ours. */
const MAX_TREE_DEPTH = 2 * MAX_DEPTH;

/** Fields that a constructor would have made non-enumerable. */
const HIDDEN: ReadonlySet<string> = new Set(['cause', 'errors']);

/** Classes an error comes back as; any other keeps its name on a plain Error. */
const ERRORS: ReadonlyMap<string, new (message: string) => Error> = new Map(
  [Error, EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((type) => [type.name, type]),
);

/**
 * Turns the tags in freshly parsed JSON back into values, in place.
 * @throws when a tag is malformed, or the tree deeper than any we write
 */
export function untagTree(node: unknown, depth = 0): unknown {
  if (typeof node === 'string') return looksTagged(node) ? untag(node) : node;
  if (typeof node !== 'object' || node === null) return node;
  if (depth > MAX_TREE_DEPTH) throw new TypeError('too deep');
  return Array.isArray(node) ? untagArray(node, depth + 1) : untagFields(node as Record<string, unknown>, depth + 1);
}

function untagArray(items: unknown[], depth: number): unknown {
  const build = containerOf(items[0]);
  for (let index = build ? 1 : 0; index < items.length; index++) items[index] = untagTree(items[index], depth);
  return build ? build(items.slice(1)) : items;
}

function untagFields(fields: Record<string, unknown>, depth: number): unknown {
  // Faster than Object.keys, and what JSON.parse made inherits nothing enumerable.
  for (const key in fields) {
    const before = fields[key];
    const after = untagTree(before, depth);
    if (after !== before) fields[key] = after;
  }
  return fields;
}

type Build = (items: readonly unknown[]) => unknown;

function containerOf(tag: unknown): Build | undefined {
  switch (tag) {
    case MAP_TAG:
      return buildMap;
    case SET_TAG:
      return (items) => new Set(items);
    case ERROR_TAG:
      return buildError;
    default:
      return undefined;
  }
}

function buildMap(items: readonly unknown[]): Map<unknown, unknown> {
  const map = new Map<unknown, unknown>();
  for (let index = 0; index < items.length; index += 2) map.set(items[index], items[index + 1]);
  return map;
}

function buildError([name, message, extras]: readonly unknown[]): Error {
  if (typeof name !== 'string' || typeof message !== 'string') throw new TypeError('malformed error');
  const error = new (ERRORS.get(name) ?? Error)(message);
  if (error.name !== name) define(error, 'name', name, false);
  define(error, 'stack', `${name}: ${message}`, false);
  for (const [key, value] of Object.entries(extras as object)) define(error, key, value, !HIDDEN.has(key));
  return error;
}

/** By definition, not assignment: a key may be `__proto__` or that of an inherited accessor. */
function define(error: Error, key: string, value: unknown, enumerable: boolean): void {
  Object.defineProperty(error, key, { value, enumerable, writable: true, configurable: true });
}
