import { shownText } from '../common/shown-text.ts';
import type { LockInfo, LockService } from '../lock/lock.service.ts';
import type { AdminPeers, PeerMessage } from './admin-peers.ts';

export interface LockView {
  readonly name: string;
  /** The instance that holds it; null when none of them says so. */
  readonly holder: string | null;
  readonly tokenHash: string;
  readonly ttlMs: number;
  readonly waiters: number;
}

const QUESTION = 'lock-holders';

/** Shows who holds what: a lock knows its token, and instances know which tokens are theirs. */
export class LockDesk {
  constructor(
    private readonly locks: LockService,
    private readonly peers: AdminPeers,
  ) {
    peers.onMessage((message) => this.#heed(message));
  }

  async list(cursor: string | undefined, limit: number): Promise<{ items: LockView[]; cursor: string | null }> {
    const page = await this.locks.list(cursor, limit);
    const holders = await this.#holdersOf(page.items);
    const items = page.items.map(({ resource, tokenHash, ttlMs, waiters }) => ({
      ...{ name: resource, holder: holders.get(tokenHash) ?? null, tokenHash, ttlMs, waiters },
    }));
    return { items, cursor: page.cursor };
  }

  /** Asks the others only when there are locks that this instance does not hold. */
  async #holdersOf(locks: readonly LockInfo[]): Promise<ReadonlyMap<string, string>> {
    const own = this.locks.heldHere();
    const holders = new Map([...own].map((token) => [token, this.peers.instance]));
    const tokens = locks.map(({ tokenHash }) => tokenHash).filter((token) => !own.has(token));
    if (tokens.length === 0) return holders;
    const { answers } = await this.peers.ask({ kind: QUESTION, tokens });
    for (const [instance, held] of answers) {
      for (const token of textsIn(held)) if (!own.has(token)) holders.set(token, shownText(instance));
    }
    return holders;
  }

  #heed({ kind, tokens }: PeerMessage): string[] | undefined {
    if (kind !== QUESTION) return undefined;
    const own = this.locks.heldHere();
    return textsIn(tokens).filter((token) => own.has(token));
  }
}

const textsIn = (list: unknown): string[] =>
  Array.isArray(list) ? list.filter((each): each is string => typeof each === 'string') : [];
