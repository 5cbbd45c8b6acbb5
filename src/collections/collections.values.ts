/// <reference lib="es2024.string" />
import { InvalidOptionsError, SerializationError } from '../common/errors.ts';

/** A member, field or value. Collections hold text; a number is stored as its text. */
export type CollectionValue = string | number;

/**
 * The text of one member, field or value.
 * @throws SerializationError for what has no text of its own, and for text that no server can give back unchanged
 */
export function toText(name: string, value: CollectionValue): string {
  if (typeof value === 'number' && Number.isFinite(value)) return String(value);
  if (typeof value !== 'string')
    throw new SerializationError(`${name} must be text or a finite number, not ${describe(value)}`);
  if (!value.isWellFormed())
    throw new SerializationError(`${name} must be well-formed text, without half of a surrogate pair`);
  return value;
}

/** @throws InvalidOptionsError when there are none */
export function toTexts(name: string, values: readonly CollectionValue[]): string[] {
  if (values.length === 0) throw new InvalidOptionsError(name, ['give at least one; received none']);
  return values.map((value) => toText(name, value));
}

/** @throws InvalidOptionsError for anything but a whole number within ±(2^53 - 1) */
export function assertSafeInteger(name: string, value: number): void {
  if (Number.isSafeInteger(value)) return;
  throw new InvalidOptionsError(name, [`must be a whole number within ±(2^53 - 1); received ${describe(value)}`]);
}

const describe = (value: unknown): string => {
  if (value === null || typeof value === 'number') return String(value);
  return typeof value === 'object' ? 'an object' : typeof value;
};
