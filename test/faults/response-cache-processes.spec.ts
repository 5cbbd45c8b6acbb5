import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { HttpClient, type HttpReply } from '../support/http-client.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';
import { startWorkers, type Worker } from '../support/workers.ts';

describe('stale responses of several processes', () => {
  let servers: TestServers;
  let workers: Worker[];
  let clients: HttpClient[];

  beforeAll(async () => {
    servers = await startStandalone();
    const options = { redis: { url: servers.url, commandTimeout: '5s' }, http: { lookupBudget: '5s' } } as const;
    workers = await startWorkers(2, options, 'pages-worker.mjs');
    clients = await Promise.all(workers.map(async (worker) => new HttpClient(await worker.do<number>('port'))));
  });
  afterAll(async () => {
    for (const client of clients) client.close();
    await Promise.all(workers.map((worker) => worker.kill()));
    await servers.stop();
  });

  const runs = async () =>
    (await Promise.all(workers.map((worker) => worker.do<number>('runs')))).reduce((a, b) => a + b);
  const toAll = <T>(act: (client: HttpClient) => Promise<T>) => Promise.all(clients.map(act));
  const textsOf = (replies: readonly HttpReply[]) => [...new Set(replies.map(({ text }) => text))];

  it('are served by all of them before the handler could have answered, while one of them refreshes (HTTP-16)', async () => {
    const first = await clients[0]!.get('/page');
    await eventually(async () => expect((await clients[1]!.get('/page')).text).toBe(first.text));
    expect(await runs()).toBe(1);

    await Promise.all(workers.map((worker) => worker.do('shut')));
    await sleep(2_100);
    // No handler answers before the gate is opened: whoever has an answer has not waited for one.
    const stale = await Promise.all(Array.from({ length: 100 }, (_, at) => clients[at % 2]!.get('/page')));
    expect(textsOf(stale)).toEqual([first.text]);
    expect(new Set(stale.map(({ headers }) => headers['x-cache']))).toEqual(new Set(['STALE']));
    await eventually(async () => expect(await runs()).toBe(2));
    // Those who come while it is under way start no other one.
    expect(textsOf(await toAll((client) => client.get('/page')))).toEqual([first.text]);
    expect(await runs()).toBe(2);

    await Promise.all(workers.map((worker) => worker.do('open')));
    await eventually(async () => {
      const [renewed, ...others] = textsOf(await toAll((client) => client.get('/page')));
      expect(others).toEqual([]);
      expect(renewed).not.toBe(first.text);
    });
  });
});
