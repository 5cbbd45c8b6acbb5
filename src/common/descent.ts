import { SerializationError } from './errors.ts';

/**
 * The property, or the position in an array, Map or Set, under which a walk found a value; undefined where it did not
 * move: at the top, and at what an object says it stands for.
 */
export type Step = string | number | undefined;

/** Deeper values are refused: whoever reads them recursively would run out of stack. */
export const MAX_DEPTH = 500;
const MAX_PATH_LENGTH = 200;
const IDENTIFIER = /^[\p{L}_$][\p{L}\p{N}_$]*$/u;

/** Where a walk through a value is: finds cycles and too deep a nesting, and names the place in the error. */
export class Descent {
  readonly #parents: object[] = [];
  readonly #steps: Step[] = [];

  /** @param advice what the reader of an error can do about it */
  constructor(private readonly advice: string) {}

  /** @throws SerializationError when `object` contains itself, or is too deep inside */
  enter(object: object, step: Step): void {
    // A linear search beats a Set here: values are rarely more than a few levels deep.
    if (this.#parents.includes(object)) this.refuse('refers back to an object around it', step);
    if (this.#parents.length === MAX_DEPTH) this.refuse(`is more than ${MAX_DEPTH} levels deep`, step);
    this.#parents.push(object);
    this.#steps.push(step);
  }

  leave(): void {
    this.#parents.pop();
    this.#steps.pop();
  }

  /** @throws SerializationError that says where and why, never the value */
  refuse(reason: string, step?: Step): never {
    throw new SerializationError(`${pathOf([...this.#steps, step])} ${reason}: ${this.advice}`);
  }
}

function pathOf(steps: readonly Step[]): string {
  const path = `$${steps.map(segment).join('')}`;
  return path.length <= MAX_PATH_LENGTH ? path : `${path.slice(0, MAX_PATH_LENGTH)}…`;
}

function segment(step: Step): string {
  if (step === undefined) return '';
  return typeof step === 'string' && IDENTIFIER.test(step) ? `.${step}` : `[${JSON.stringify(step)}]`;
}
