/**
 * Freezes a value and all it holds, and says whether it could: only plain objects, lists and what cannot be changed
 * anyway. What a Map, a Date or a Buffer holds can always be changed, so a value with one of those is left as it is.
 */
export function deepFreeze(value: unknown): boolean {
  if (!isFreezable(value)) return false;
  freeze(value);
  return true;
}

function isFreezable(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null && !Array.isArray(value)) return false;
  return Object.values(value).every(isFreezable);
}

function freeze(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  Object.freeze(value);
  for (const inner of Object.values(value)) freeze(inner);
}
