import { integer, rule, type Section } from '../../common/option-rules.ts';
import { readOptions, type ValuesOf } from '../../common/read-options.ts';
import { AdminProblem, unprocessable } from '../admin.problem.ts';
import type { Signer } from '../signer.ts';

/** A text of so many characters. */
export const textOf = (min: number, max: number) =>
  rule(`a text of ${min} to ${max} characters`, (value) =>
    typeof value === 'string' && value.length >= min && value.length <= max ? value : undefined,
  );

/** Why somebody does something that others will notice. */
export const reason = textOf(3, 200);

/** @throws AdminProblem 422 naming everything that is wrong; fields that are not known are wrong, too */
export function readBody<S extends Section>(body: unknown, rules: S, required: readonly string[] = []): ValuesOf<S> {
  const faults: string[] = [];
  const given = body === undefined || body === null || body === '' ? {} : body;
  const values = readOptions(given, rules, faults);
  for (const name of required) {
    if ((given as Record<string, unknown>)[name] === undefined) faults.push(`${name}: is missing`);
  }
  if (faults.length > 0) throw unprocessable(faults);
  return values;
}

/** A query says everything in text. */
export const readQuery = <S extends Section>(query: unknown, rules: S): ValuesOf<S> =>
  readBody({ ...(query as object) }, rules);

/** A whole number in a query. */
export const numberIn = (min: number, max: number) => {
  const { allowed, read } = integer(min, max);
  return rule(allowed, (value) =>
    typeof value === 'string' && /^\d{1,9}$/.test(value) ? read(Number(value)) : undefined,
  );
};

export const pageRules = { cursor: textOf(1, 12_000), limit: numberIn(1, 1_000) };

/** @throws AdminProblem 400 for a cursor that is not ours, or was made for another question */
export function positionIn(signer: Signer, cursor: string | undefined, filter: readonly unknown[]): string | undefined {
  if (cursor === undefined) return undefined;
  const position = signer.position(cursor, filter);
  if (position === undefined) throw new AdminProblem(400, 'BAD_CURSOR', 'This cursor does not belong to this question');
  return position;
}

/** @throws AdminProblem 404: what cannot be a key is not there */
export function keyIn(encoded: string): string {
  const key = Buffer.from(encoded, 'base64url').toString();
  const isExact = key.trim() !== '' && Buffer.from(key).toString('base64url') === encoded.replace(/=+$/, '');
  if (!isExact) throw new AdminProblem(404, 'NOT_FOUND', 'There is no such key');
  return key;
}
