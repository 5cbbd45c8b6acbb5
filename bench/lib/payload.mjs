/** An answer as APIs give them, of `bytes` bytes of JSON. */
export function record(bytes, id = 0) {
  const core = { id, name: `user-${id}`, email: `user${id}@example.com`, active: true, score: 1.5, tags: ['a', 'b'] };
  const missing = bytes - JSON.stringify({ ...core, about: '' }).length;
  return { ...core, about: 'x'.repeat(Math.max(0, missing)) };
}

/** The factory of a value that has to be there already. */
export const missed = (key) => {
  throw new Error(`the factory ran, ${key} was not cached`);
};

export const HOUR_MS = 3_600_000;

/** A page of a list as APIs give it, of about `bytes` bytes of JSON. */
export function page(bytes) {
  const items = Array.from({ length: Math.round(bytes / 130) }, (_, id) => record(129, id));
  return { total: items.length, items };
}
