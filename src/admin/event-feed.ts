/** What happened, or how things stand, for those who watch. */
export interface FeedEvent {
  readonly id: number;
  readonly type: 'stats' | 'breaker' | 'invalidation' | 'mode';
  readonly data: unknown;
}

export type FeedListener = (event: FeedEvent) => void;

const KEPT = 256;

/** The events of this instance; the last 256 are there for who lost the connection. */
export class EventFeed {
  readonly #ring: FeedEvent[] = [];
  readonly #listeners = new Set<FeedListener>();
  #last = 0;

  get listeners(): number {
    return this.#listeners.size;
  }

  /** Figures that the next ones replace are not kept. */
  tell(type: FeedEvent['type'], data: unknown): void {
    const event = { id: ++this.#last, type, data };
    if (type !== 'stats' && this.#ring.push(event) > KEPT) this.#ring.shift();
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** What came after the event of that id and is kept. */
  since(id: number): FeedEvent[] {
    return this.#ring.filter((event) => event.id > id);
  }

  listen(listener: FeedListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }
}
