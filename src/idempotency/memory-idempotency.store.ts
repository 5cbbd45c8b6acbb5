import { bytesOfText } from '../common/bounded-map.ts';
import { type Clock, steadyClock } from '../common/clock.ts';
import { MemoryKeyspace } from '../common/memory-keyspace.ts';
import type { Claim, ClaimOutcome, IdempotencyStore } from './idempotency-store.interface.ts';

interface Run {
  readonly token: string;
  readonly fingerprint: string;
}

interface Answered extends Run {
  readonly answer: Buffer;
}

const LIMITS = { maxEntries: 100_000, maxBytes: 64 * 1024 ** 2 };
const TOKEN_LENGTH = 32;
/** Where there is no room for what was answered, it is still known that it was. */
const NOTHING = Buffer.alloc(0);

/**
 * Runs and answers of this process only, for memory mode and for outages. Where room is short the answers that nobody
 * asked for leave first; a run never does: it would let a second one in.
 */
export class MemoryIdempotencyStore implements IdempotencyStore {
  readonly #records: MemoryKeyspace<Answered>;

  constructor(
    private readonly clock: Clock = steadyClock,
    limits = LIMITS,
  ) {
    this.#records = new MemoryKeyspace(limits, clock);
  }

  claim(name: string, claim: Claim): ClaimOutcome {
    const known = this.#read(name);
    if (known === undefined || (known.answer === undefined && known.token === claim.token)) {
      this.#run(name, claim);
      return { kind: 'claimed' };
    }
    if (known.fingerprint !== claim.fingerprint) return { kind: 'mismatch' };
    if (known.answer !== undefined) return { kind: 'answered', answer: known.answer };
    return { kind: 'running', remainingMs: (this.#records.expiresAt(name) ?? 0) - this.clock.now() };
  }

  renew(name: string, claim: Claim): boolean {
    const known = this.#read(name);
    if (known !== undefined && (known.answer !== undefined || known.token !== claim.token)) return false;
    this.#run(name, claim);
    return true;
  }

  complete(name: string, { token, fingerprint }: Claim, answer: Buffer, ttlMs: number): boolean {
    const known = this.#read(name);
    if (known !== undefined && known.token !== token) return false;
    const keep = (kept: Buffer): boolean =>
      this.#records.write(
        name,
        { type: 'entry', entry: { token, fingerprint, answer: kept } },
        { expiresAtMs: this.clock.now() + ttlMs, bytes: kept.length + bytesOfText(token + fingerprint) },
      );
    return keep(answer) || keep(NOTHING);
  }

  release(name: string, token: string): boolean {
    const known = this.#read(name);
    return known?.token === token && known.answer === undefined && this.#records.delete(name);
  }

  startSweeping(): this {
    this.#records.startSweeping();
    return this;
  }

  stopSweeping(): void {
    this.#records.stopSweeping();
  }

  /** A run is a text, which the keyspace never evicts. @throws StoreUnavailableError when there is no room for it */
  #run(name: string, { token, fingerprint, leaseMs }: Claim): void {
    const text = token + fingerprint;
    const options = { expiresAtMs: this.clock.now() + leaseMs, bytes: bytesOfText(text) };
    this.#records.write(name, { type: 'text', text }, options);
  }

  #read(name: string): (Run & { readonly answer: Buffer | undefined }) | undefined {
    const record = this.#records.read(name);
    if (record?.type === 'entry') return record.entry;
    if (record?.type !== 'text') return undefined;
    const { text } = record;
    return { token: text.slice(0, TOKEN_LENGTH), fingerprint: text.slice(TOKEN_LENGTH), answer: undefined };
  }
}
