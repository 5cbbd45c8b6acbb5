import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';
import { startWorkers, type Worker } from '../support/workers.ts';

/** How long a process that died is waited for. */
const LEASE_MS = 1_000;

describe('idempotent requests to several processes', () => {
  let servers: TestServers;
  let workers: Worker[];
  let clients: HttpClient[];
  let payments = 0;

  beforeAll(async () => {
    servers = await startStandalone();
    workers = await startWorkers(3, { redis: { url: servers.url, commandTimeout: '5s' } }, 'idempotency-worker.mjs');
    clients = await Promise.all(workers.map(async (worker) => new HttpClient(await worker.do<number>('port'))));
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await Promise.all(workers.map((worker) => worker.kill()));
    await servers.stop();
  });

  /** A payment that takes so long, and its key. */
  const paymentOf = (ms: number) => ({ payment: `payment-${payments++}`, ms });
  const pay = (at: number, payment: { payment: string; ms: number }, timeoutMs = 10_000): Promise<HttpReply> => {
    const body = JSON.stringify(payment);
    const headers = { 'content-type': 'application/json', 'idempotency-key': payment.payment };
    return clients[at]!.call('/payments', { method: 'POST', body, headers, timeoutMs });
  };
  const runsOf = (at: number, { payment }: { payment: string }) => workers[at]!.do<number>('runs', { payment });
  const begun = (at: number, payment: { payment: string }) =>
    eventually(async () => (await runsOf(at, payment)) === 1, { withinMs: 10_000 });
  const isReplayed = ({ headers }: HttpReply) => headers['idempotent-replayed'] === 'true';
  /** Asks until it is neither refused for the one that runs nor for the server. */
  const paid = async (at: number, payment: { payment: string; ms: number }) => {
    const replies: HttpReply[] = [];
    await eventually(
      async () => {
        replies.push(await pay(at, payment));
        return replies.at(-1)!.status === 201;
      },
      { withinMs: 10_000, everyMs: 50 },
    );
    return replies.at(-1)!;
  };

  it('run once, however many come at once', async () => {
    const payment = paymentOf(200);
    const replies = await Promise.all(Array.from({ length: 50 }, (_, at) => pay(at % 2, payment)));
    const answers = replies.filter(({ status }) => status === 201);
    expect(new Set(answers.map(({ text }) => text)).size).toBe(1);
    expect(answers.filter((answer) => !isReplayed(answer))).toHaveLength(1);
    expect(replies.filter(({ status }) => status === 409)).toHaveLength(50 - answers.length);
    expect((await runsOf(0, payment)) + (await runsOf(1, payment))).toBe(1);
    for (const at of [0, 1]) {
      const again = await pay(at, payment);
      expect([again.text, isReplayed(again)]).toEqual([answers[0]!.text, true]);
    }
  });

  it('leave the answer of a newer one alone when an older one wakes up late', async () => {
    const payment = paymentOf(300);
    const late = pay(0, payment, 30_000);
    await begun(0, payment);
    workers[0]!.signal('SIGSTOP');
    const newer = await paid(1, payment);
    expect(isReplayed(newer)).toBe(false);
    workers[0]!.signal('SIGCONT');
    const own = await late;
    expect([own.status, own.text === newer.text]).toEqual([201, false]);
    for (const at of [0, 1]) {
      const again = await pay(at, payment);
      expect([again.text, isReplayed(again)]).toEqual([newer.text, true]);
    }
  });

  it('answer although the server went away meanwhile, and are known when it is back without its data', async () => {
    const payment = paymentOf(400);
    const first = pay(0, payment);
    await begun(0, payment);
    await servers.kill();
    const answer = await first;
    expect(answer.status).toBe(201);
    const refused = paymentOf(0);
    expect((await pay(0, refused)).status).toBe(503);
    expect(await runsOf(0, refused)).toBe(0);
    await servers.restart();
    const again = await paid(0, payment);
    expect([again.text, isReplayed(again)]).toEqual([answer.text, true]);
    expect(await runsOf(0, payment)).toBe(1);
  });

  it('are claimed again when the server is back without its data while they run', async () => {
    const payment = paymentOf(2_000);
    await eventually(async () => (await pay(0, paymentOf(0))).status === 201, { withinMs: 10_000 });
    const first = pay(0, payment);
    await begun(0, payment);
    await servers.kill();
    await servers.restart();
    // Refused while it runs, replayed if that took longer: never run.
    const again = await eventually(async () => [409, 201].includes((await pay(0, payment)).status), {
      withinMs: 10_000,
    });
    expect([again, (await first).status]).toEqual([true, 201]);
    expect(await runsOf(0, payment)).toBe(1);
  });

  it('run again when the process that ran them has died, and not before', async () => {
    const payment = paymentOf(LEASE_MS * 2);
    await eventually(async () => (await pay(1, paymentOf(0))).status === 201, { withinMs: 10_000 });
    const lost = pay(0, payment).catch((error: unknown) => error);
    await begun(0, payment);
    // As long as it lives it is waited for, longer than its lease.
    await sleep(LEASE_MS * 1.3);
    expect((await pay(1, payment)).status).toBe(409);
    await workers[0]!.kill();
    expect(await lost).toHaveProperty('code', 'ECONNRESET');
    const again = await paid(1, payment);
    expect(isReplayed(again)).toBe(false);
    expect(await runsOf(1, payment)).toBe(1);
  });

  it('are waited for at a shutdown when their client is gone', async () => {
    const payment = paymentOf(1_000);
    await expect(pay(1, payment, 200)).rejects.toThrow('no answer');
    await workers[1]!.do('close');
    const again = await pay(2, payment);
    expect([again.status, isReplayed(again)]).toEqual([201, true]);
    expect(await runsOf(2, payment)).toBe(0);
  });
});
