import { types } from 'node:util';
import { Descent, type Step } from './descent.ts';
import { hidesState } from './hidden-state.ts';

/**
 * One text for values that are equal and different texts for values that are not, to make a key of arguments.
 *
 * JSON with sorted keys for what JSON can say; everything else is a bare word, which no string can be because strings
 * are quoted: `undefined`, `NaN`, `5n`, `Date(0)`, `Map("a"=>1)`.
 *
 * Equal are: `{ a: undefined }` and `{}`, `0` and `-0`, Maps and Sets with the same content in another order, instances
 * of a class and plain objects with the same fields.
 * @throws SerializationError with the path of what has no such text: functions, symbols, streams and requests, cycles,
 *   instances with state that cannot be seen
 */
export const canonicalJson = (value: unknown): string =>
  listOfPrimitives(value) ?? new CanonicalWriter().value(value, undefined);

/** Most argument lists are one or two ids, for which this takes a quarter of the time of the walk. */
function listOfPrimitives(value: unknown): string | undefined {
  if (!Array.isArray(value)) return undefined;
  let text = '';
  for (const item of value) {
    const part = primitive(item);
    if (part === undefined) return undefined;
    text += text === '' ? part : `,${part}`;
  }
  return `[${text}]`;
}

/** Undefined for objects, and for functions and symbols, which have no text. */
function primitive(value: unknown): string | undefined {
  switch (typeof value) {
    case 'string':
      return quote(value);
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value);
    case 'bigint':
      return `${value}n`;
    default:
      return value === null ? 'null' : undefined;
  }
}

class CanonicalWriter {
  readonly #descent = new Descent('give a `key`');

  value(value: unknown, step: Step): string {
    if (typeof value === 'object' && value !== null) return this.#object(value, step);
    return primitive(value) ?? this.#descent.refuse(`is a ${typeof value}`, step);
  }

  #object(value: object, step: Step): string {
    this.#descent.enter(value, step);
    const text = this.#inside(value);
    this.#descent.leave();
    return text;
  }

  #inside(value: object): string {
    if (Array.isArray(value)) return `[${this.#items(value).join()}]`;
    return isPlain(value) ? this.#fields(value) : this.#instance(value);
  }

  /** Told apart by name, because `instanceof` fails for objects of another realm (vm, worker, Jest). */
  #instance(value: object): string {
    const name = Object.prototype.toString.call(value).slice('[object '.length, -1);
    switch (name) {
      case 'Date':
        return `Date(${(value as Date).getTime()})`;
      case 'URL':
        return `URL(${quote((value as URL).href)})`;
      case 'RegExp':
        return `RegExp(${quote((value as RegExp).source)},${(value as RegExp).flags})`;
      case 'Map':
        return `Map(${this.#entries(value as Map<unknown, unknown>)})`;
      case 'Set':
        return `Set(${this.#members(value as Set<unknown>)})`;
      case 'Error':
        return this.#error(value as Error);
      case 'Number':
      case 'String':
      case 'Boolean':
      case 'BigInt':
      case 'Symbol':
        return this.value(value.valueOf(), undefined);
      default:
        return isBinary(value) ? `${value.constructor.name}(${base64(value)})` : this.#ownClass(value);
    }
  }

  /** `toJSON` first: where there is one, it knows better than the fields what the object stands for. */
  #ownClass(value: Instance): string {
    if (isLive(value)) this.#descent.refuse('is a stream, a request or another source of events');
    const plain = typeof value.toJSON === 'function' ? value.toJSON() : value;
    if (plain !== value) return `JSON(${this.value(plain, undefined)})`;
    if (hidesState(value)) this.#descent.refuse(`has state that cannot be seen (class ${classOf(value)})`);
    return this.#fields(value);
  }

  #items(items: Iterable<unknown>): string[] {
    const texts: string[] = [];
    for (const item of items) texts.push(this.value(item, texts.length));
    return texts;
  }

  #members(set: ReadonlySet<unknown>): string {
    return this.#items(set).sort().join();
  }

  #entries(map: ReadonlyMap<unknown, unknown>): string {
    const entries = Array.from(map, (entry) => this.#items(entry).join('=>'));
    return entries.sort().join();
  }

  #error(error: Error): string {
    return `Error(${quote(error.name)},${quote(error.message)},${this.#fields(error)})`;
  }

  #fields(fields: object): string {
    let text = '';
    for (const key of Object.keys(fields).sort()) {
      const value = (fields as Record<string, unknown>)[key];
      if (value === undefined) continue;
      text += `${text === '' ? '' : ','}${quote(key)}:${this.value(value, key)}`;
    }
    return `{${text}}`;
  }
}

interface Instance {
  readonly toJSON?: () => unknown;
  readonly on?: unknown;
  readonly getReader?: unknown;
}

/** Streams, sockets, requests and responses, of Node and of the web. */
const isLive = ({ on, getReader }: Instance): boolean => typeof on === 'function' || typeof getReader === 'function';

const classOf = (instance: object): string => (Object.getPrototypeOf(instance) as object).constructor.name;

/** A plain object, of any realm. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

const isBinary = (value: object): value is ArrayBuffer | ArrayBufferView =>
  ArrayBuffer.isView(value) || types.isAnyArrayBuffer(value);

const base64 = (value: ArrayBuffer | ArrayBufferView): string =>
  (ArrayBuffer.isView(value)
    ? Buffer.from(value.buffer, value.byteOffset, value.byteLength)
    : Buffer.from(value)
  ).toString('base64');

/** `JSON.stringify` costs several times as much, and most arguments are plain ids. */
const quote = (text: string): string => (UNREMARKABLE.test(text) ? `"${text}"` : JSON.stringify(text));

const UNREMARKABLE = /^[\w .:@/-]*$/;
