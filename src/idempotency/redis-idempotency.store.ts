import type { RedisDoor } from '../redis/availability.types.ts';
import { defineScript, type RawReply } from '../redis/redis.script.ts';
import type { Claim, ClaimOutcome, IdempotencyStore } from './idempotency-store.interface.ts';
import { CLAIM, COMPLETE, RELEASE, RENEW } from './idempotency.lua.ts';

const isOne = (reply: RawReply): boolean => reply === 1;

const claimScript = defineScript({
  name: 'idempotency.claim',
  args: ['token', 'fingerprint', 'lease'],
  body: CLAIM,
  reply: (reply): ClaimOutcome => {
    const [kind, detail] = reply as [number, Buffer | number];
    if (kind === 0) return { kind: 'claimed' };
    if (kind === 1) return { kind: 'running', remainingMs: Math.max(0, detail as number) };
    return kind === 2 ? { kind: 'mismatch' } : { kind: 'answered', answer: detail as Buffer };
  },
});
const renewScript = defineScript({
  name: 'idempotency.renew',
  args: ['token', 'fingerprint', 'lease'],
  body: RENEW,
  reply: isOne,
});
const completeScript = defineScript({
  name: 'idempotency.complete',
  args: ['token', 'fingerprint', 'ttl', 'answer'],
  body: COMPLETE,
  reply: isOne,
});
const releaseScript = defineScript({ name: 'idempotency.release', args: ['token'], body: RELEASE, reply: isOne });

/** Runs and answers on the server, shared by every process; each act is one script on one key. */
export class RedisIdempotencyStore implements IdempotencyStore {
  constructor(private readonly door: RedisDoor) {}

  claim(name: string, { token, fingerprint, leaseMs }: Claim): Promise<ClaimOutcome> {
    return this.door.run(claimScript, name, token, fingerprint, leaseMs);
  }

  renew(name: string, { token, fingerprint, leaseMs }: Claim): Promise<boolean> {
    return this.door.run(renewScript, name, token, fingerprint, leaseMs);
  }

  complete(name: string, { token, fingerprint }: Claim, answer: Buffer, ttlMs: number): Promise<boolean> {
    return this.door.run(completeScript, name, token, fingerprint, ttlMs, answer);
  }

  release(name: string, token: string): Promise<boolean> {
    return this.door.run(releaseScript, name, token);
  }
}
