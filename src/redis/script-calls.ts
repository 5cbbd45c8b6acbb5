import type { KeyedScript, ScriptArgument } from './redis.script.ts';

/** A script that is to be run for some keys. */
export interface Call {
  readonly script: KeyedScript<unknown>;
  readonly keys: readonly string[];
  /** Those that are shared, then those of each key in turn. */
  readonly args: readonly ScriptArgument[];
  /** Takes what the script has made of each key. */
  readonly resolve: (values: readonly unknown[]) => void;
  readonly reject: (error: unknown) => void;
}

/** Calls that can travel together: of one script, and with the same shared arguments. */
export interface Group {
  readonly script: KeyedScript<unknown>;
  readonly shared: readonly ScriptArgument[];
  readonly calls: Call[];
}

export const MAX_KEYS = 128;
/** More of them would keep the server, and everybody who waits for it, busy for too long. */
export const MAX_BYTES = 1024 ** 2;
/** Where a batch does not wait for more: the server works on it while the next one is encoded. */
export const FULL_BYTES = 8 * 1024;

type Share = Pick<Call, 'keys' | 'args'>;

/** @throws RangeError when the number of arguments is not the script's: it would shift those of the other calls */
export function assertArity({ name, shared, arity }: KeyedScript<unknown>, { keys, args }: Share): void {
  const expected = shared + keys.length * (arity - shared);
  if (args.length !== expected) throw new RangeError(`${name} takes ${expected} arguments, not ${args.length}`);
}

/** As few calls as may be, each small enough to travel. */
export function partsOf(script: KeyedScript<unknown>, whole: Share): readonly Share[] {
  const { keys, args } = whole;
  if (keys.length <= 1 || (keys.length <= MAX_KEYS && sizeOf(args) <= MAX_BYTES)) return [whole];
  const half = Math.ceil(keys.length / 2);
  const halves = [shareOf(script, whole, 0, half), shareOf(script, whole, half, keys.length)];
  return halves.flatMap((part) => partsOf(script, part));
}

/** A call for each key, for servers that take one at a time. */
export function apart({ script, resolve, reject, ...whole }: Call): readonly Call[] {
  const values: unknown[] = [];
  let left = whole.keys.length;
  return whole.keys.map((_, index) => ({
    script,
    ...shareOf(script, whole, index, index + 1),
    resolve: ([value]) => {
      values[index] = value;
      if (--left === 0) resolve(values);
    },
    reject,
  }));
}

export function groupsOf(calls: readonly Call[]): readonly Group[] {
  const groups: Group[] = [];
  for (const call of calls) {
    const group = groups.findLast((other) => accepts(other, call) || concerns(other, call));
    if (group !== undefined && accepts(group, call)) group.calls.push(call);
    else groups.push({ script: call.script, shared: call.args.slice(0, call.script.shared), calls: [call] });
  }
  return groups;
}

export function sizeOf(args: readonly ScriptArgument[]): number {
  let bytes = 0;
  for (const arg of args) if (typeof arg !== 'number') bytes += arg.length;
  return bytes;
}

/** What is asked for one key happens in the order in which it was asked: a call does not join a group before another. */
const concerns = ({ calls }: Group, { keys }: Call): boolean =>
  calls.some((call) => call.keys.some((key) => keys.includes(key)));

const accepts = ({ script, shared }: Group, call: Call): boolean =>
  script === call.script && shared.every((arg, index) => arg === call.args[index]);

function shareOf({ shared, arity }: KeyedScript<unknown>, { keys, args }: Share, from: number, to: number): Share {
  const own = arity - shared;
  return {
    keys: keys.slice(from, to),
    args: [...args.slice(0, shared), ...args.slice(shared + from * own, shared + to * own)],
  };
}
