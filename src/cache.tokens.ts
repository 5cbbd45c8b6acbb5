/** What the parts of the module ask each other for, and nobody else. */
export const OPTIONS = Symbol.for('nestjs-keep:resolved-options');
/** `Tracing`, or undefined where nobody traces. */
export const TRACING = Symbol.for('nestjs-keep:tracing');
export const BACKEND = Symbol.for('nestjs-keep:backend');
export const ADMIN_CONTROLLERS = Symbol.for('nestjs-keep:admin-controllers');
