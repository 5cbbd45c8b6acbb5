const names = new Map<string, string>();
const MAX_NAMES = 1_000;

/** The name of a policy as headers and problems may show it: `OrdersController.create` is `orderscontroller-create`. */
export function wireNameOf(name: string): string {
  const known = names.get(name);
  if (known !== undefined) return known;
  const plain = name.toLowerCase().replace(/[^a-z0-9_-]+/g, '-').replace(/^-+|-+$/g, '').slice(0, 32) || 'policy'; // prettier-ignore
  if (names.size >= MAX_NAMES) names.clear();
  names.set(name, plain);
  return plain;
}
