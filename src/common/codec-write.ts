import {
  ERROR_TAG,
  MAP_TAG,
  SET_TAG,
  UNDEFINED_TAG,
  type BinaryName,
  escapeText,
  isBinaryName,
  looksTagged,
  tagBigInt,
  tagBinary,
  tagBuffer,
  tagDate,
  tagNumber,
  tagRegExp,
  tagUrl,
} from './codec-tags.ts';
import { Descent, type Step } from './descent.ts';

/** Objects whose state cannot be read; storing them as `{}` would hide a forgotten `await`. */
const STATEFUL: ReadonlySet<string> = new Set([
  'Promise',
  'WeakMap',
  'WeakSet',
  'WeakRef',
  'Generator',
  'AsyncGenerator',
]);

const SPOKEN_FOR: ReadonlySet<string> = new Set(['name', 'message', 'stack']);

/** What a value becomes before `JSON.stringify`. */
export interface TaggedTree {
  /** The value itself where JSON can carry it; what had to change is a copy. */
  readonly tree: unknown;
  /** Whether there are tags in it, so that a reader has to look for them. */
  readonly tagged: boolean;
}

/** Thrown as soon as a value turns out to be larger than allowed, before any of it is serialised. */
export class TooLarge extends Error {
  constructor(readonly bytes: number) {
    super('too large');
  }
}

/**
 * Walks a value once and turns what JSON would lose into tags.
 * @throws SerializationError for what cannot be stored, TooLarge past `maxBytes`
 */
export function tagTree(value: unknown, maxBytes: number): TaggedTree {
  const writer = new TagWriter(maxBytes);
  const tree = writer.value(value, undefined);
  return { tree, tagged: writer.tagged };
}

class TagWriter {
  tagged = false;
  readonly #descent = new Descent('leave it out, or store what it stands for');
  #bytes = 0;

  constructor(private readonly maxBytes: number) {}

  value(value: unknown, step: Step): unknown {
    switch (typeof value) {
      case 'string':
        this.#spend(value.length + 2);
        return looksTagged(value) ? this.#tag(escapeText(value)) : value;
      case 'number':
        this.#spend(1);
        return Number.isFinite(value) && !Object.is(value, -0) ? value : this.#tag(tagNumber(value));
      case 'boolean':
        return value;
      case 'undefined':
        return this.#tag(UNDEFINED_TAG);
      case 'bigint':
        return this.#tag(tagBigInt(value));
      case 'object':
        return value === null ? null : this.#object(value, step);
      default:
        return this.#descent.refuse(`is a ${typeof value}`, step);
    }
  }

  #object(value: object, step: Step): unknown {
    this.#descent.enter(value, step);
    const result = this.#inside(value);
    this.#descent.leave();
    return result;
  }

  #inside(value: object): unknown {
    if (Array.isArray(value)) return this.#items(value);
    if (Object.getPrototypeOf(value) === Object.prototype) return this.#fields(value);
    return this.#instance(value);
  }

  #items(items: readonly unknown[]): unknown {
    this.#spend(items.length + 1);
    let copy: unknown[] | undefined;
    // By index, because a hole reads as undefined and most other ways skip it.
    for (let index = 0; index < items.length; index++) {
      const before = items[index];
      const after = this.value(before, index);
      if (after !== before) (copy ??= [...items])[index] = after;
    }
    return copy ?? items;
  }

  #fields(fields: object): unknown {
    this.#spend(2);
    let copy: Record<string, unknown> | undefined;
    for (const key of Object.keys(fields)) {
      this.#spend(key.length + 3);
      const before = (fields as Record<string, unknown>)[key];
      const after = this.value(before, key);
      // The spread made each key an own property of the copy, so even assigning `__proto__` only sets that property.
      if (after !== before) (copy ??= { ...fields })[key] = after;
    }
    return copy ?? fields;
  }

  /** Told apart by name, because `instanceof` fails for objects of another realm (vm, worker, Jest). */
  #instance(value: object): unknown {
    const name = Object.prototype.toString.call(value).slice('[object '.length, -1);
    switch (name) {
      case 'Date':
        return this.#tag(tagDate(value as Date));
      case 'URL':
        return this.#tag(tagUrl(value as URL));
      case 'RegExp':
        return this.#tag(tagRegExp(value as RegExp));
      case 'Map':
        return this.#map(value as Map<unknown, unknown>);
      case 'Set':
        return this.#set(value as Set<unknown>);
      case 'Error':
      case 'DOMException':
        return this.#error(value as Error);
      case 'Number':
      case 'String':
      case 'Boolean':
      case 'BigInt':
      case 'Symbol':
        return this.value(value.valueOf(), undefined);
    }
    if (STATEFUL.has(name)) this.#descent.refuse(`is a ${name}`);
    return isBinaryName(name) ? this.#binary(name, value as ArrayBufferView) : this.#plainInstance(value);
  }

  #map(map: ReadonlyMap<unknown, unknown>): unknown {
    this.#spend(2 * map.size);
    return this.#container(MAP_TAG, [...map].flat());
  }

  #set(set: ReadonlySet<unknown>): unknown {
    this.#spend(set.size);
    return this.#container(SET_TAG, [...set]);
  }

  #container(tag: string, items: readonly unknown[]): unknown {
    return [this.#tag(tag), ...items.map((item, index) => this.value(item, index))];
  }

  #error(error: Error): unknown {
    const { name, message } = error;
    const extras = this.#fields(extrasOf(error));
    return [this.#tag(ERROR_TAG), this.value(name, 'name'), this.value(message, 'message'), extras];
  }

  #binary(name: BinaryName, value: ArrayBuffer | ArrayBufferView): string {
    this.#spend(value.byteLength);
    return this.#tag(Buffer.isBuffer(value) ? tagBuffer(value) : tagBinary(name, value));
  }

  /** An object of a class becomes what it says it is (`toJSON`), or else its own fields. */
  #plainInstance(value: { toJSON?: () => unknown }): unknown {
    if (typeof value.toJSON !== 'function') return this.#fields(value);
    const plain = value.toJSON();
    return plain === value ? this.#fields(value) : this.value(plain, undefined);
  }

  /** Counts what is written for sure, so that nothing is refused that would fit. */
  #spend(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.maxBytes) throw new TooLarge(this.#bytes);
  }

  #tag<T>(tag: T): T {
    this.tagged = true;
    return tag;
  }
}

/** What an error says besides name and message; the stack is not stored, because it names files of the server. */
function extrasOf(error: Error): object {
  const shown = Object.keys(error).filter((key) => !SPOKEN_FOR.has(key));
  const hidden = ['cause', 'errors'].filter((key) => Object.hasOwn(error, key));
  return Object.fromEntries([...shown, ...hidden].map((key) => [key, error[key as keyof Error]]));
}
