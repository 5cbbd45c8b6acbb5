import { BoundedMap } from '../common/bounded-map.ts';
import type { HttpHeaders } from './http-headers.ts';
import type { ResponseMaker } from './response-maker.ts';
import type { FoundResponse, ResponseStore } from './response-store.ts';
import type { StoredResponse } from './stored-response.ts';

/** Where the response to one request is, or would be. */
export interface Spot {
  readonly name: string;
  readonly found: FoundResponse;
  /** The entry whose variant it is. */
  readonly parent: string | undefined;
}

/** How many times a response may vary on other headers than the one before it. */
const MAX_DEPTH = 4;
const MAX_VARIANTS = 32;
const LIMITS = { maxEntries: 10_000, maxBytes: 8 * 1024 ** 2 };

/**
 * Finds the variant that a request asks for. An entry says which headers chose it and what they said; a request that
 * says something else is referred to an entry named by what it says. So each entry is written by whoever holds its
 * own lease, and no list of variants is shared.
 */
export class ResponseFinder {
  /** The variants of an entry that this process has stored, the longest unused one first. */
  private readonly variants = new BoundedMap<Set<string>>(LIMITS);

  constructor(
    private readonly store: ResponseStore,
    private readonly maker: ResponseMaker,
  ) {}

  /** A fresh response that this process holds for this request, under this very name. */
  peek(name: string, headers: HttpHeaders): StoredResponse | undefined {
    const held = this.store.peek(name);
    return held !== undefined && !held.isMark && this.isFor(held, headers) ? held : undefined;
  }

  isFor({ draft }: StoredResponse, headers: HttpHeaders): boolean {
    return draft.vary.length === 0 || this.maker.variantOf(draft.vary, headers) === draft.variant;
  }

  /** The same spot as the store has it: whoever replaces an entry has to name the one that it has seen. */
  async known(spot: Spot, stampNames: readonly string[]): Promise<Spot> {
    if (spot.found.seen.kind !== 'missing') return spot;
    return { ...spot, found: await this.store.find(spot.name, stampNames) };
  }

  /** Undefined where responses vary without end. */
  async locate(start: string, stampNames: readonly string[], headers: HttpHeaders): Promise<Spot | undefined> {
    let name = start;
    let parent: string | undefined;
    for (let depth = 0; depth < MAX_DEPTH; depth++) {
      const found = await this.find(name, stampNames);
      const { response } = found;
      if (response === undefined || response.isMark || this.isFor(response, headers)) {
        if (parent !== undefined && response !== undefined) this.use(parent, name);
        return { name, found, parent };
      }
      parent = name;
      name = `${name}~${response.draft.id}.${this.maker.variantOf(response.draft.vary, headers)}`;
    }
    return undefined;
  }

  /** A variant was stored: the one that was not used for longest leaves when there are too many. */
  async added({ name, parent }: Spot): Promise<void> {
    if (parent === undefined) return;
    const names = this.use(parent, name);
    const [oldest] = names;
    if (names.size <= MAX_VARIANTS || oldest === undefined) return;
    names.delete(oldest);
    await this.store.remove(oldest);
  }

  private async find(name: string, stampNames: readonly string[]): Promise<FoundResponse> {
    const held = this.store.peek(name);
    if (held === undefined) return this.store.find(name, stampNames);
    return { response: held, isFresh: true, seen: { kind: 'missing' }, isAway: false };
  }

  private use(parent: string, name: string): ReadonlySet<string> & { delete(name: string): boolean } {
    const names = this.variants.get(parent) ?? new Set<string>();
    names.delete(name);
    names.add(name);
    this.variants.set(parent, names, names.size * 300);
    return names;
  }
}
