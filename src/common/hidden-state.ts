const knownClasses = new WeakMap<object, boolean>();

/**
 * Whether two instances of a class may differ in what nobody outside can read. A key made of their fields would then
 * be one key for all of them: every `URLSearchParams` would get the answer to the first one's question.
 */
export function hidesState(instance: object): boolean {
  const isBare = Object.keys(instance).length === 0;
  if (isBare && Object.getOwnPropertySymbols(instance).length > 0) return true;
  return isPrivateClass(Object.getPrototypeOf(instance) as object);
}

function isPrivateClass(prototype: object): boolean {
  const known = knownClasses.get(prototype);
  if (known !== undefined) return known;
  const isPrivate = hasPrivateFields(prototype);
  knownClasses.set(prototype, isPrivate);
  return isPrivate;
}

/** `#fields` and native code show nowhere but in the text of the class. The last prototype is that of Object. */
function hasPrivateFields(prototype: object): boolean {
  const parent = Object.getPrototypeOf(prototype) as object | null;
  if (parent === null) return false;
  const text = Function.prototype.toString.call(prototype.constructor);
  return /\.#|\[native code\]/.test(text) || isPrivateClass(parent);
}
