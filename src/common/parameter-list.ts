/** What the source of a method says about its arguments. */
export interface ParameterList {
  /** In order; undefined where a destructuring pattern stands instead of a name. */
  readonly names: readonly (string | undefined)[];
  /** Whether the method may read more arguments than it declares: a rest parameter, `arguments`, unreadable source. */
  readonly isOpen: boolean;
}

type Callable = (...args: never[]) => unknown;

const UNKNOWN: ParameterList = { names: [], isOpen: true };
const TOKEN = /\/\*[^]*?\*\/|\/\/.*|'(?:[^'\\]|\\[^])*'|"(?:[^"\\]|\\[^])*"|=>|[()[\]{},`/]|[^()[\]{},`/'"=]+|=/g;
const PARAMETER = /^\s*(\.\.\.)?([\p{ID_Start}$_][\p{ID_Continue}$]*)\s*(?:=|$)/u;
const NATIVE = /\[native code\]\s*\}$/;

/**
 * Reads the parameter list of a method. What it cannot read for certain (a regular expression or a template
 * string as a default, native code) is unknown rather than guessed: a wrong name would share somebody's data.
 */
export function parameterListOf(method: Callable): ParameterList {
  const source = Function.prototype.toString.call(method);
  const parameters = NATIVE.test(source) ? undefined : splitParameters(source);
  if (parameters === undefined) return UNKNOWN;
  const parsed = parameters.map((text) => PARAMETER.exec(text));
  const hasRest = parameters.some((text) => text.trimStart().startsWith('...'));
  return {
    names: parsed.map((match) => (match?.[1] === undefined ? match?.[2] : undefined)),
    isOpen: hasRest || /\barguments\b/.test(source),
  };
}

/** The texts between the commas of the first parenthesis. */
function splitParameters(source: string): string[] | undefined {
  const parameters: string[] = [];
  let depth = 0;
  let isInside = false;
  let text = '';
  for (const [token] of source.matchAll(TOKEN)) {
    if (token.startsWith('//') || token.startsWith('/*')) continue;
    if (token === '`' || token === '/') return undefined;
    if (!isInside) {
      // `a => …`: the first parenthesis belongs to the body.
      if (token === '=>') return undefined;
      if (token === '(' && depth === 0) isInside = true;
      else depth += nesting(token);
      continue;
    }
    if (depth === 0 && (token === ')' || token === ',')) {
      if (text.trim() !== '') parameters.push(text);
      if (token === ')') return parameters;
      text = '';
      continue;
    }
    depth += nesting(token);
    text += token;
  }
  return undefined;
}

function nesting(token: string): number {
  if (token === '(' || token === '[' || token === '{') return 1;
  return token === ')' || token === ']' || token === '}' ? -1 : 0;
}
