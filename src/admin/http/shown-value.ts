/** A value as JSON can say it: what JSON does not know becomes a text or a list. */
export function shownValue(value: unknown): unknown {
  const text = JSON.stringify(value, (_key, each: unknown) => plain(each)) as string | undefined;
  return text === undefined ? undefined : (JSON.parse(text) as unknown);
}

function plain(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Map) return [...value.entries()];
  if (value instanceof Set) return [...value];
  if (value instanceof Error) return `${value.name}: ${value.message}`;
  if (value instanceof RegExp) return String(value);
  if (typeof value === 'number' && !Number.isFinite(value)) return String(value);
  return value;
}
