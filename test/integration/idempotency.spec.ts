import { setTimeout as sleep } from 'node:timers/promises';
import { KEY_DEFAULTS, KeySpace } from '../../src/common/keys.ts';
import { isStoreUnavailableError } from '../../src/common/errors.ts';
import { within } from '../../src/common/within.ts';
import { IdempotencyService, type RunRequest } from '../../src/idempotency/idempotency.service.ts';
import { MemoryIdempotencyStore } from '../../src/idempotency/memory-idempotency.store.ts';
import { RedisIdempotencyStore } from '../../src/idempotency/redis-idempotency.store.ts';
import { newToken } from '../../src/lock/lock-lease.ts';
import {
  describeIdempotencyStoreContract,
  type IdempotencyStoreSetup,
} from '../contracts/idempotency-store.contract.ts';
import { connectPatiently } from '../support/connections.ts';
import { eventually } from '../support/eventually.ts';
import { ONE_SERVER, TOPOLOGIES, type Topology } from '../support/topologies.ts';

async function openMemory(): Promise<IdempotencyStoreSetup> {
  let nowMs = Date.UTC(2030, 0, 1);
  return {
    store: new MemoryIdempotencyStore({ now: () => nowMs }),
    pass: async (ms) => void (nowMs += ms),
    close: async () => undefined,
  };
}

const openServer = (topology: Topology) => async (): Promise<IdempotencyStoreSetup> => {
  const servers = await topology.start();
  const connection = await connectPatiently(topology.targetOf(servers));
  return {
    store: new RedisIdempotencyStore(connection),
    pass: (ms) => sleep(ms),
    close: async () => {
      await connection.close();
      await servers.stop();
    },
  };
};

describeIdempotencyStoreContract('memory', openMemory);
describeIdempotencyStoreContract('server', openServer(ONE_SERVER));
for (const name of ['a server that refuses several keys', 'a cluster of three primaries with replicas'] as const) {
  describeIdempotencyStoreContract(name, openServer(TOPOLOGIES[name]));
}

const FINGERPRINT = 'f'.repeat(43);
const claimOf = (leaseMs = 60_000) => ({ token: newToken(), fingerprint: FINGERPRINT, leaseMs });

describe('idempotent runs in memory', () => {
  const limits = { maxEntries: 10, maxBytes: 64 * 1024 };

  it('forget the answers that nobody asked for when room is short, and never a run', () => {
    const store = new MemoryIdempotencyStore(undefined, limits);
    const running = claimOf();
    store.claim('running', running);
    for (let at = 0; at < 100; at++) {
      const claim = claimOf();
      expect(store.claim(`n${at}`, claim)).toEqual({ kind: 'claimed' });
      store.complete(`n${at}`, claim, Buffer.alloc(100), 60_000);
    }
    expect(store.claim('running', claimOf()).kind).toBe('running');
    expect(store.claim('n99', claimOf()).kind).toBe('answered');
    expect(store.claim('n0', claimOf()).kind).toBe('claimed');
  });

  it('are refused when others take all the room', () => {
    const store = new MemoryIdempotencyStore(undefined, limits);
    const claims = Array.from({ length: 10 }, (_, at) => store.claim(`n${at}`, claimOf()));
    expect(claims.map(({ kind }) => kind)).toEqual(Array(10).fill('claimed'));
    const refused = (() => {
      try {
        return store.claim('one more', claimOf());
      } catch (error) {
        return error;
      }
    })();
    expect(isStoreUnavailableError(refused)).toBe(true);
  });

  it('are known to have run when their answer is too long', () => {
    const store = new MemoryIdempotencyStore(undefined, limits);
    const claim = claimOf();
    store.claim('long', claim);
    expect(store.complete('long', claim, Buffer.alloc(limits.maxBytes), 60_000)).toBe(true);
    expect(store.claim('long', claimOf())).toEqual({ kind: 'answered', answer: Buffer.alloc(0) });
  });
});

describe('the idempotency service', () => {
  const keys = new KeySpace(KEY_DEFAULTS);
  const ANSWER = Buffer.from('answer');
  let identities = 0;
  const requestFor = (changes: Partial<RunRequest> = {}): RunRequest => ({
    identity: `i${identities++}`,
    fingerprint: FINGERPRINT,
    leaseMs: 300,
    waitMs: 0,
    onOutage: 'reject',
    route: 'Orders.create',
    isWanted: () => true,
    ...changes,
  });
  async function begin(service: IdempotencyService, request: RunRequest) {
    const beginning = await service.begin(request);
    if (beginning.kind !== 'begun') throw new Error(`${beginning.kind} instead of a run`);
    return beginning.run;
  }
  const serviceOn = (store = new MemoryIdempotencyStore()) => new IdempotencyService({ store, keys });

  it('renews the lease for as long as the handler runs, and not longer', async () => {
    const service = serviceOn();
    const request = requestFor();
    const run = await begin(service, request);
    await sleep(700);
    expect((await service.begin(request)).kind).toBe('running');
    run.abandon();
    await eventually(async () => (await service.begin(request)).kind === 'begun');
    await service.close(0);
  });

  it('lets others wait for the answer', async () => {
    const service = serviceOn();
    const request = requestFor({ waitMs: 5_000 });
    const run = await begin(service, request);
    const waiting = [service.begin(request), service.begin(request)];
    await sleep(50);
    await run.keep(ANSWER, 60_000);
    const answered = { kind: 'answered', answer: ANSWER };
    expect(await Promise.all(waiting)).toEqual([answered, answered]);
  });

  it('lets one of those who wait run when the first leaves nothing', async () => {
    const service = serviceOn();
    const request = requestFor({ waitMs: 300 });
    const run = await begin(service, request);
    const waiting = [service.begin(request), service.begin(request)];
    await sleep(30);
    await run.release();
    const kinds = (await Promise.all(waiting)).map(({ kind }) => kind);
    expect(kinds.sort()).toEqual(['begun', 'running']);
    await service.close(0);
  });

  it('does not wait for a client that is gone', async () => {
    const service = serviceOn();
    const request = requestFor();
    const run = await begin(service, request);
    let isWanted = true;
    const waiting = service.begin({ ...request, waitMs: 60_000, isWanted: () => isWanted });
    isWanted = false;
    expect((await waiting).kind).toBe('running');
    await run.release();
  });

  it('waits at a shutdown for what still runs, within its budget', async () => {
    const service = serviceOn();
    const request = requestFor();
    const run = await begin(service, request);
    const stuck = await begin(service, requestFor());
    setTimeout(() => void run.keep(ANSWER, 60_000), 50);
    const startedAt = performance.now();
    await service.close(200);
    expect(performance.now() - startedAt).toBeLessThan(2_000);
    await within(Promise.all([run.ended, stuck.ended]), 5_000, undefined);
    expect((await service.begin(request)).kind).toBe('answered');
  });

  it('tells a server that is away later, and answers its client meanwhile', async () => {
    const servers = await ONE_SERVER.start();
    const connection = await connectPatiently(ONE_SERVER.targetOf(servers));
    const service = new IdempotencyService({ store: new RedisIdempotencyStore(connection), keys });
    const request = requestFor({ leaseMs: 60_000 });
    try {
      const run = await begin(service, request);
      await servers.kill();
      await eventually(() => !connection.isAvailable);
      await run.keep(ANSWER, 60_000);
      expect((await service.begin(request)).kind).toBe('unavailable');
      await servers.restart();
      await eventually(() => connection.isAvailable, { withinMs: 10_000 });
      await within(run.ended, 10_000, undefined);
      expect(await service.begin(request)).toEqual({ kind: 'answered', answer: ANSWER });
    } finally {
      await service.close(0);
      await connection.close();
      await servers.stop();
    }
  });

  it('gives back what a server that did not answer may have granted', async () => {
    const servers = await ONE_SERVER.start();
    const connection = await connectPatiently(ONE_SERVER.targetOf(servers), 300);
    const service = new IdempotencyService({ store: new RedisIdempotencyStore(connection), keys });
    const request = requestFor({ leaseMs: 60_000 });
    try {
      servers.pause();
      expect((await service.begin(request)).kind).toBe('unavailable');
      servers.resume();
      await eventually(async () => (await service.begin(request)).kind === 'begun', { withinMs: 15_000 });
    } finally {
      servers.resume();
      await service.close(0);
      await connection.close();
      await servers.stop();
    }
  });

  it('protects in this process without the server, where that was asked for', async () => {
    const servers = await ONE_SERVER.start();
    const connection = await connectPatiently(ONE_SERVER.targetOf(servers));
    const service = new IdempotencyService({ store: new RedisIdempotencyStore(connection), keys });
    const request = requestFor({ onOutage: 'local' });
    try {
      await servers.kill();
      await eventually(() => !connection.isAvailable);
      const run = await begin(service, request);
      expect((await service.begin(request)).kind).toBe('running');
      expect((await service.begin({ ...request, onOutage: 'reject' })).kind).toBe('unavailable');
      await run.keep(ANSWER, 60_000);
      expect(await service.begin(request)).toEqual({ kind: 'answered', answer: ANSWER });
    } finally {
      await service.close(0);
      await connection.close();
      await servers.stop();
    }
  });
});
