export type DeepPartial<T> = { readonly [K in keyof T]?: T[K] extends object ? DeepPartial<T[K]> : T[K] };

/** The defaults, overridden by each layer in turn. Only what has a default is taken from a layer. */
export function withDefaults<T extends object>(defaults: T, ...layers: readonly (DeepPartial<T> | undefined)[]): T {
  const entries = Object.entries(defaults).map(([name, byDefault]: [string, unknown]) => {
    const given = layers.map((layer) => layer?.[name as keyof T]).filter((value) => value !== undefined);
    const value = isSection(byDefault) ? withDefaults(byDefault, ...(given as object[])) : (given.at(-1) ?? byDefault);
    return [name, value];
  });
  return Object.fromEntries(entries) as T;
}

const isSection = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
