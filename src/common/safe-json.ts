/**
 * What a payload must mention for a key of it to reach a prototype. Escapes of ASCII letters count: nobody writes
 * them by accident, and `"_\u005fproto__"` is the same key.
 */
const SUSPECT = /__proto__|"prototype"|\\u00[567]/;

/**
 * `JSON.parse`, without the keys that a careless `Object.assign` or deep merge of the result would turn into a change
 * of every object's prototype: `__proto__` anywhere, and `prototype` below `constructor`.
 */
export function parseJson(text: string): unknown {
  // A reviver would make every parse three to five times slower.
  const value: unknown = JSON.parse(text);
  return isSuspect(text) ? withoutPrototypeKeys(value) : value;
}

/**
 * Whether the parsed text might hold a key that `parseJson` removes.
 * Asks cheaply first: the regular expression alone would cost a tenth of the parse.
 */
export const isSuspect = (text: string): boolean =>
  (text.includes('proto') || text.includes('\\u00')) && SUSPECT.test(text);

/** Goes through the value without recursion, because it may come from somebody else and be deep. */
function withoutPrototypeKeys(root: unknown): unknown {
  const pending: unknown[] = [root];
  while (pending.length > 0) {
    const value = pending.pop();
    if (typeof value !== 'object' || value === null) continue;
    Reflect.deleteProperty(value, '__proto__');
    if (Object.hasOwn(value, 'constructor')) deletePrototypeOf(value.constructor);
    for (const child of Object.values(value)) pending.push(child);
  }
  return root;
}

function deletePrototypeOf(parsed: unknown): void {
  if (typeof parsed === 'object' && parsed !== null) Reflect.deleteProperty(parsed, 'prototype');
}
