import { setTimeout as sleep } from 'node:timers/promises';
import { eventually } from '../support/eventually.ts';
import { HOST } from '../support/free-ports.ts';
import { FaultProxy } from '../support/proxy.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';
import { startWorkers, type Worker } from '../support/workers.ts';

const PROCESSES = 5;

let servers: TestServers;
let proxy: FaultProxy;
let workers: Worker[] = [];

afterEach(async () => {
  await Promise.all([...workers.map((worker) => worker.kill()), proxy.close(), servers.stop()]);
});

it('F04: five processes that lost the same server do not come back in the same instant', async () => {
  servers = await startStandalone();
  proxy = await FaultProxy.start(servers.port);
  const redis = { host: HOST, port: proxy.port, commandTimeout: '5s', bootBudget: '15s' } as const;
  workers = await startWorkers(PROCESSES, { redis });
  const areBack = async () => (await Promise.all(workers.map((each) => each.call('isRedisAvailable')))).every(Boolean);
  await eventually(areBack, { withinMs: 10_000 });

  proxy.mode = 'reject';
  proxy.cut();
  // Until each of them waits for as long as it ever will.
  await sleep(2_500);
  const before = proxy.accepted;
  const times: number[] = [];
  proxy.mode = 'pass';
  await eventually(
    () => {
      while (times.length < proxy.accepted - before) times.push(performance.now());
      return times.length >= PROCESSES;
    },
    { everyMs: 1 },
  );
  // In step they would be as far apart as this machine is late: a dozen milliseconds. By chance five of them are
  // this close together once in ten thousand times.
  expect(times.at(-1)! - times[0]!).toBeGreaterThan(40);
  await eventually(areBack, { withinMs: 5_000 });
});
