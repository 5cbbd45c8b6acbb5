import { bytesOfText } from '../common/bounded-map.ts';
import { Deque } from '../common/deque.ts';
import type { KeyspaceRecord, MemoryKeyspace } from '../common/memory-keyspace.ts';
import type { CollectionsStore } from './collections-store.interface.ts';
import { addToCounter } from './counter.ts';

/** What a collection and each of its items take beside the text itself, as measured on 64-bit Node 20 to 24. */
const COLLECTION_BYTES = 160;
const MEMBER_BYTES = 30;
const FIELD_BYTES = 40;
const ITEM_BYTES = 12;

const EMPTY = {
  set: () => ({ type: 'set', members: new Set<string>() }) as const,
  hash: () => ({ type: 'hash', fields: new Map<string, string>() }) as const,
  list: () => ({ type: 'list', items: new Deque<string>() }) as const,
};
type CollectionType = keyof typeof EMPTY;
/** Of the keyspace only what has nothing to do with cache entries, so that theirs may be of any type. */
type CollectionsKeyspace = Pick<
  MemoryKeyspace<unknown>,
  'readAs' | 'write' | 'grow' | 'delete' | 'expiresAt' | 'clear'
>;
type Collection<T extends CollectionType> = Extract<KeyspaceRecord<never>, { readonly type: T }>;

/**
 * Collections in this process. Nothing of them is ever evicted; when there is no room left, what would grow is
 * refused with `StoreUnavailableError` and stays as it was.
 */
export class MemoryCollectionsStore implements CollectionsStore {
  constructor(private readonly keyspace: CollectionsKeyspace) {}

  sadd(key: string, members: readonly string[]): number {
    const held = this.keyspace.readAs(key, 'set')?.members;
    const added = [...new Set(members)].filter((member) => !held?.has(member));
    if (added.length === 0) return 0;
    const { members: all } = this.claim(key, 'set', sum(added, bytesOfMember));
    for (const member of added) all.add(member);
    return added.length;
  }

  srem(key: string, members: readonly string[]): number {
    const held = this.keyspace.readAs(key, 'set')?.members;
    if (held === undefined) return 0;
    const removed = members.filter((member) => held.delete(member));
    this.release(key, held.size, sum(removed, bytesOfMember));
    return removed.length;
  }

  sismember(key: string, member: string): boolean {
    return this.keyspace.readAs(key, 'set')?.members.has(member) ?? false;
  }

  smembers(key: string): string[] {
    return [...(this.keyspace.readAs(key, 'set')?.members ?? [])];
  }

  scard(key: string): number {
    return this.keyspace.readAs(key, 'set')?.members.size ?? 0;
  }

  hset(key: string, field: string, value: string): number {
    const old = this.hget(key, field);
    const more = bytesOfField(field, value) - (old === undefined ? 0 : bytesOfField(field, old));
    this.claim(key, 'hash', more).fields.set(field, value);
    return old === undefined ? 1 : 0;
  }

  hget(key: string, field: string): string | undefined {
    return this.keyspace.readAs(key, 'hash')?.fields.get(field);
  }

  hgetall(key: string): Record<string, string> {
    // Defines each field, `__proto__` too, as an ordinary property of its own.
    return Object.fromEntries(this.keyspace.readAs(key, 'hash')?.fields ?? []);
  }

  hdel(key: string, fields: readonly string[]): number {
    const held = this.keyspace.readAs(key, 'hash')?.fields;
    if (held === undefined) return 0;
    const before = held.size;
    let bytes = 0;
    for (const field of fields) {
      const value = held.get(field);
      if (value === undefined) continue;
      held.delete(field);
      bytes += bytesOfField(field, value);
    }
    this.release(key, held.size, bytes);
    return before - held.size;
  }

  lpush(key: string, values: readonly string[]): number {
    const { items } = this.claim(key, 'list', sum(values, bytesOfItem));
    for (const value of values) items.pushFirst(value);
    return items.length;
  }

  rpush(key: string, values: readonly string[]): number {
    const { items } = this.claim(key, 'list', sum(values, bytesOfItem));
    for (const value of values) items.pushLast(value);
    return items.length;
  }

  lpop(key: string): string | undefined {
    return this.pop(key, (items) => items.popFirst());
  }

  rpop(key: string): string | undefined {
    return this.pop(key, (items) => items.popLast());
  }

  lrange(key: string, start: number, stop: number): string[] {
    const items = this.keyspace.readAs(key, 'list')?.items;
    if (items === undefined) return [];
    const at = (position: number) => (position < 0 ? position + items.length : position);
    return items.slice(Math.max(at(start), 0), Math.min(at(stop) + 1, items.length));
  }

  incrby(key: string, amount: number): number {
    const result = addToCounter(this.keyspace.readAs(key, 'text')?.text, amount);
    const text = String(result);
    this.keyspace.write(
      key,
      { type: 'text', text },
      { expiresAtMs: this.keyspace.expiresAt(key), bytes: bytesOfText(text) },
    );
    return result;
  }

  /** Forgets every collection, and whatever else shares the keyspace. */
  clear(): void {
    this.keyspace.clear();
  }

  private pop(key: string, take: (items: Deque<string>) => string | undefined): string | undefined {
    const items = this.keyspace.readAs(key, 'list')?.items;
    if (items === undefined) return undefined;
    const item = take(items);
    if (item !== undefined) this.release(key, items.length, bytesOfItem(item));
    return item;
  }

  /** The collection under `key`, created when there is none, with room for `bytes` more; or nothing has changed. */
  private claim<T extends CollectionType>(key: string, type: T, bytes: number): Collection<T> {
    const held = this.keyspace.readAs(key, type);
    if (held !== undefined) {
      this.keyspace.grow(key, bytes);
      return held;
    }
    const created = EMPTY[type]();
    this.keyspace.write(key, created, { bytes: COLLECTION_BYTES + bytes });
    return created as Collection<T>;
  }

  /** Gives back what removed items took; without items the collection itself is gone. */
  private release(key: string, itemsLeft: number, bytes: number): void {
    if (itemsLeft === 0) this.keyspace.delete(key);
    else this.keyspace.grow(key, -bytes);
  }
}

const bytesOfMember = (member: string): number => bytesOfText(member) + MEMBER_BYTES;
const bytesOfField = (field: string, value: string): number => bytesOfText(field) + bytesOfText(value) + FIELD_BYTES;
const bytesOfItem = (item: string): number => bytesOfText(item) + ITEM_BYTES;

const sum = (texts: readonly string[], bytesOf: (text: string) => number): number =>
  texts.reduce((total, text) => total + bytesOf(text), 0);
