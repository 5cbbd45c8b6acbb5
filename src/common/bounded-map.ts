import { inspect } from 'node:util';

/**
 * What one entry costs beside its key and value: its node and its place in the hash table. Measured on 64-bit
 * Node 20 to 24, where the table is between half full and full.
 */
export const ENTRY_OVERHEAD_BYTES = 120;

/** Heap bytes of a string: V8 keeps Latin-1 text in one byte per character and any other text in two. */
export const bytesOfText = (text: string): number =>
  TEXT_HEADER_BYTES + (BEYOND_LATIN1.test(text) ? text.length * 2 : text.length);

const TEXT_HEADER_BYTES = 20;
const BEYOND_LATIN1 = /[^\0-\xff]/;

/** How many times its size a map may evict before the hand returns to the oldest entry. */
const LONGEST_ROUND = 16;

export interface MapLimits {
  readonly maxEntries: number;
  /** Keys, values and overhead together. */
  readonly maxBytes: number;
}

/** A link of the eviction queue; every node has all fields from the start, so that all share one shape. */
class Node<V> {
  visited = false;
  newer: Node<V> | undefined = undefined;
  older: Node<V> | undefined = undefined;

  constructor(
    readonly key: string,
    public value: V,
    public bytes: number,
    public pinned: boolean,
  ) {}
}

/**
 * A map that holds at most `maxEntries` values and `maxBytes` bytes, at any moment.
 *
 * Eviction is SIEVE (Zhang, Yang, Yue, Vigfusson, Rashmi: "SIEVE is Simpler than LRU", NSDI 2024). Entries queue
 * in the order they came; a read only marks its entry as visited, so a hit moves nothing. The hand walks from the
 * oldest entry to the newest, takes the mark from each visited entry it passes and evicts the first without one.
 * Where the hand stands, it stays: the entries of a scan, never read again, are evicted one after the other at the
 * young end while the entries behind the hand, which were read, are left alone.
 *
 * One thing is added. At the young end the hand may wait forever, when each newer entry leaves before it is read, and
 * the entries behind it hold their place though nobody reads them any more. So it goes back to the oldest entry after
 * a scan of `LONGEST_ROUND` times the size of the map.
 *
 * Pinned entries are outside the queue: they count against both limits and are never evicted.
 */
export class BoundedMap<V> {
  private readonly nodes = new Map<string, Node<V>>();
  private oldest: Node<V> | undefined;
  private newest: Node<V> | undefined;
  private hand: Node<V> | undefined;
  /** Since the hand was last at the oldest entry. */
  private evictedInRound = 0;
  private usedBytes = 0;
  private pinnedBytes = 0;
  private pinnedCount = 0;

  /** @param onEvict told about each entry that left for lack of room; it must neither throw nor change the map */
  constructor(
    private readonly limits: MapLimits,
    private readonly onEvict?: (key: string, value: V) => void,
  ) {}

  /** What is stored is nobody's business but its owner's: an object that holds a map ends up in a log sooner or later. */
  [inspect.custom](): object {
    return { size: this.size, bytes: this.bytes };
  }

  get size(): number {
    return this.nodes.size;
  }

  /** Estimated heap bytes of all keys, values and overhead, within a fifth of the truth if the values' are. */
  get bytes(): number {
    return this.usedBytes;
  }

  get(key: string): V | undefined {
    const node = this.nodes.get(key);
    if (node === undefined) return undefined;
    node.visited = true;
    return node.value;
  }

  /** Reads without marking the entry as used. */
  peek(key: string): V | undefined {
    return this.nodes.get(key)?.value;
  }

  has(key: string): boolean {
    return this.nodes.has(key);
  }

  /**
   * Stores a value of `bytes` bytes, and evicts others for it.
   * Returns false when it cannot fit; the key then holds nothing, so that an old value does not outlive its replacement.
   */
  set(key: string, value: V, bytes: number): boolean {
    return this.store(key, value, bytes, false);
  }

  /** As `set`, but the entry stays until it is deleted. */
  setPinned(key: string, value: V, bytes: number): boolean {
    return this.store(key, value, bytes, true);
  }

  /** Says that the value under `key` takes so many bytes more, or less. False, and nothing changed, when that does not fit. */
  grow(key: string, byBytes: number): boolean {
    const node = this.nodes.get(key);
    if (node === undefined || !this.hasRoom(node.bytes + byBytes, node)) return false;
    this.replace(node, node.value, node.bytes + byBytes, node.pinned);
    return true;
  }

  /** Whether a value of `bytes` bytes would be accepted under `key`. */
  fits(key: string, bytes: number): boolean {
    return this.hasRoom(costOf(key, bytes), this.nodes.get(key));
  }

  delete(key: string): boolean {
    const node = this.nodes.get(key);
    if (node === undefined) return false;
    this.remove(node);
    return true;
  }

  clear(): void {
    this.nodes.clear();
    this.oldest = this.newest = this.hand = undefined;
    this.evictedInRound = this.usedBytes = this.pinnedBytes = this.pinnedCount = 0;
  }

  /** Keys and values in no promised order; entries may be deleted and added meanwhile. */
  *entries(): IterableIterator<[key: string, value: V]> {
    for (const node of this.nodes.values()) yield [node.key, node.value];
  }

  [Symbol.iterator](): IterableIterator<[key: string, value: V]> {
    return this.entries();
  }

  private store(key: string, value: V, bytes: number, pinned: boolean): boolean {
    const old = this.nodes.get(key);
    const cost = costOf(key, bytes);
    if (!this.hasRoom(cost, old)) {
      if (old !== undefined) this.remove(old);
      return false;
    }
    if (old === undefined) this.insert(new Node(key, value, cost, pinned));
    else this.replace(old, value, cost, pinned);
    return true;
  }

  /** Whether there is room for an entry in place of `old` once everything that may be evicted is. */
  private hasRoom(cost: number, old: Node<V> | undefined): boolean {
    const replaced = old?.pinned ? { count: 1, bytes: old.bytes } : NOTHING;
    const fitsBytes = this.pinnedBytes - replaced.bytes + cost <= this.limits.maxBytes;
    return fitsBytes && this.pinnedCount - replaced.count < this.limits.maxEntries;
  }

  private insert(node: Node<V>): void {
    this.makeRoom(node.bytes, 1);
    this.nodes.set(node.key, node);
    this.attach(node);
  }

  /** The node leaves the queue first, so that making room for it cannot evict it. */
  private replace(node: Node<V>, value: V, bytes: number, pinned: boolean): void {
    this.detach(node);
    this.makeRoom(bytes, 0);
    node.value = value;
    node.bytes = bytes;
    node.pinned = pinned;
    this.attach(node);
  }

  /** The node is emptied: old tables of the Map, which lead from one to the next, may keep it alive for long. */
  private remove(node: Node<V>): V {
    const { value } = node;
    this.nodes.delete(node.key);
    this.detach(node);
    node.value = undefined as V;
    return value;
  }

  private makeRoom(bytes: number, entries: 0 | 1): void {
    const { maxBytes, maxEntries } = this.limits;
    while (this.usedBytes + bytes > maxBytes || this.nodes.size + entries > maxEntries) this.evictOne();
  }

  private evictOne(): void {
    const victim = this.findVictim();
    if (victim === undefined) return;
    this.evictedInRound++;
    const value = this.remove(victim);
    this.onEvict?.(victim.key, value);
  }

  private findVictim(): Node<V> | undefined {
    const isOverdue = this.evictedInRound >= LONGEST_ROUND * (this.nodes.size - this.pinnedCount);
    let node = isOverdue ? this.oldest : this.hand;
    if (node === undefined || node === this.oldest) node = this.newRound();
    while (node?.visited) {
      node.visited = false;
      node = node.newer ?? this.newRound();
    }
    this.hand = node;
    return node;
  }

  private newRound(): Node<V> | undefined {
    this.evictedInRound = 0;
    return this.oldest;
  }

  /** Counts the node, and queues it at the young end unless it is pinned. */
  private attach(node: Node<V>): void {
    this.usedBytes += node.bytes;
    if (node.pinned) {
      this.pinnedCount++;
      this.pinnedBytes += node.bytes;
      return;
    }
    node.older = this.newest;
    if (this.newest === undefined) this.oldest = node;
    else this.newest.newer = node;
    this.newest = node;
  }

  private detach(node: Node<V>): void {
    this.usedBytes -= node.bytes;
    if (node.pinned) {
      this.pinnedCount--;
      this.pinnedBytes -= node.bytes;
      return;
    }
    if (this.hand === node) this.hand = node.newer;
    if (node.older === undefined) this.oldest = node.newer;
    else node.older.newer = node.newer;
    if (node.newer === undefined) this.newest = node.older;
    else node.newer.older = node.older;
    node.newer = node.older = undefined;
  }
}

const NOTHING = { count: 0, bytes: 0 };

const costOf = (key: string, bytes: number): number => bytesOfText(key) + bytes + ENTRY_OVERHEAD_BYTES;
