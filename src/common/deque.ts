const FIRST_CAPACITY = 8;

/** A list that grows and shrinks at both ends in constant time: a ring in an array whose length is a power of two. */
export class Deque<T> {
  private ring: (T | undefined)[] = new Array<T | undefined>(FIRST_CAPACITY);
  private head = 0;
  private count = 0;

  get length(): number {
    return this.count;
  }

  pushFirst(item: T): void {
    this.growIfFull();
    this.head = this.slot(-1);
    this.ring[this.head] = item;
    this.count++;
  }

  pushLast(item: T): void {
    this.growIfFull();
    this.ring[this.slot(this.count)] = item;
    this.count++;
  }

  popFirst(): T | undefined {
    if (this.count === 0) return undefined;
    const item = this.take(this.head);
    this.head = this.slot(1);
    this.count--;
    this.shrinkIfSparse();
    return item;
  }

  popLast(): T | undefined {
    if (this.count === 0) return undefined;
    const item = this.take(this.slot(this.count - 1));
    this.count--;
    this.shrinkIfSparse();
    return item;
  }

  /** Items from `start` up to, not including, `end`; both within 0 and `length`. */
  slice(start: number, end: number): T[] {
    const items: T[] = [];
    for (let index = start; index < end; index++) items.push(this.ring[this.slot(index)] as T);
    return items;
  }

  private slot(index: number): number {
    return (this.head + index) & (this.ring.length - 1);
  }

  private take(slot: number): T | undefined {
    const item = this.ring[slot];
    this.ring[slot] = undefined;
    return item;
  }

  private growIfFull(): void {
    if (this.count === this.ring.length) this.reallocate(this.ring.length * 2);
  }

  /** A quarter rather than half: a list that hovers around a power of two does not copy itself at every step. */
  private shrinkIfSparse(): void {
    if (this.ring.length > FIRST_CAPACITY && this.count <= this.ring.length / 4) this.reallocate(this.ring.length / 2);
  }

  private reallocate(capacity: number): void {
    const ring: (T | undefined)[] = this.slice(0, this.count);
    ring.length = capacity;
    this.ring = ring;
    this.head = 0;
  }
}
