import { type ChildProcess, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { freePorts, HOST } from './free-ports.ts';

const READY_WITHIN_MS = 15_000;

type ArgumentsOf = (port: number) => readonly string[];

/** Real server processes on free ports of 127.0.0.1, with the means to hurt them. Indexes follow `ports`. */
export class TestServers {
  readonly processes: ChildProcess[];

  constructor(
    readonly ports: readonly number[],
    private readonly directory: string,
    private readonly argumentsOf: ArgumentsOf,
  ) {
    this.processes = ports.map((port) => launch(argumentsOf(port)));
  }

  /** Port of the first server, which is a primary in every topology. */
  get port(): number {
    return this.ports[0]!;
  }

  /** Address of the first server. */
  get url(): string {
    return `redis://${HOST}:${this.port}`;
  }

  /** Sends one command to the first server; see `ask`. */
  ask(...command: string[]): Promise<string> {
    return ask(this.port, ...command);
  }

  /** Ends a server at once, as a crash would; resolves when its process is gone. */
  async kill(index = 0): Promise<void> {
    const child = this.processes[index]!;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill('SIGKILL');
    await exited;
  }

  /** Freezes a server: its connections stay open and nothing is answered. */
  pause(index = 0): void {
    this.processes[index]!.kill('SIGSTOP');
  }

  resume(index = 0): void {
    this.processes[index]!.kill('SIGCONT');
  }

  /** Starts a killed server again on its port, without its data; resolves when it answers. */
  async restart(index = 0): Promise<void> {
    const port = this.ports[index]!;
    await this.kill(index);
    this.processes[index] = launch(this.argumentsOf(port));
    await untilUp(port);
  }

  /** Waits for the last step of a start-up; when it fails no process is left behind. */
  async stopUnless(ready: Promise<unknown>): Promise<void> {
    try {
      await ready;
    } catch (error) {
      await this.stop();
      throw error;
    }
  }

  async stop(): Promise<void> {
    await Promise.all(this.processes.map((_, index) => this.kill(index)));
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** One server without persistence; `args` are appended to its command line. */
export async function startStandalone(args: readonly string[] = []): Promise<TestServers> {
  const directory = temporaryDirectory();
  return startAll(await freePorts(1), directory, (port) => [...inMemory(port, directory), ...args]);
}

/** One server that owns every slot of a cluster: a plain client is refused several keys of different slots. */
export async function startSingleNodeCluster(): Promise<TestServers> {
  // A node that nobody has met does not know its own address, and ioredis does not use one without.
  const announced = ['--cluster-announce-ip', HOST];
  const servers = await startStandalone(['--cluster-enabled', 'yes', '--cluster-node-timeout', '500', ...announced]);
  await servers.ask('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  await servers.stopUnless(untilClusterIsFormed(servers.ports));
  return servers;
}

/** Three primaries, then a replica of each. The topology is written down beforehand, so no gossip is waited for. */
export async function startCluster(args: readonly string[] = []): Promise<TestServers> {
  const directory = temporaryDirectory();
  const ports = await freePorts(6);
  for (const port of ports) {
    writeFileSync(join(directory, `nodes-${port}.conf`), clusterTopology(ports, port));
  }
  const clusterArguments = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '500'];
  const servers = await startAll(ports, directory, (port) => [
    ...inMemory(port, directory),
    ...clusterArguments,
    ...['--cluster-replica-validity-factor', '0', '--cluster-config-file', `nodes-${port}.conf`],
    ...args,
  ]);
  await servers.stopUnless(Promise.all([untilClusterIsFormed(ports), untilReplicating(ports.slice(3))]));
  return servers;
}

/** A primary, its replica and three sentinels that already know each other: `[primary, replica, ...sentinels]`. */
export async function startSentinels(name = 'main', downAfterMs = 500): Promise<TestServers> {
  const directory = temporaryDirectory();
  const ports = await freePorts(5);
  const [primary, replica, ...sentinels] = ports as [number, number, ...number[]];
  const configOf = (port: number) => join(directory, `sentinel-${port}.conf`);
  for (const port of sentinels) {
    writeFileSync(configOf(port), sentinelConfig({ name, downAfterMs, port, primary, replica, sentinels, directory }));
  }
  const servers = await startAll(ports, directory, (port) => {
    if (port === primary) return inMemory(port, directory);
    if (port === replica) return [...inMemory(port, directory), '--replicaof', HOST, String(primary)];
    return [configOf(port), '--sentinel'];
  });
  const agreed = untilEvery(sentinels, ['SENTINEL', 'CKQUORUM', name], (reply) => reply.startsWith('+OK 3'));
  await servers.stopUnless(Promise.all([untilReplicating([replica]), agreed]));
  return servers;
}

/** Sends one command over a bare socket and resolves with the reply as it came over the wire. Not meant for arrays. */
export async function ask(port: number, ...command: string[]): Promise<string> {
  const socket = createConnection(port, HOST);
  socket.setTimeout(1_000, () => socket.destroy(new Error(`no answer from port ${port}`)));
  socket.write(encode(command));
  const chunks: Buffer[] = [];
  for await (const chunk of socket) {
    chunks.push(chunk as Buffer);
    if (isWholeReply(Buffer.concat(chunks))) break;
  }
  return Buffer.concat(chunks).toString();
}

function isWholeReply(bytes: Buffer): boolean {
  const [header, length] = /^\$(\d+)\r\n/.exec(bytes.toString('latin1', 0, 20)) ?? [];
  if (header === undefined) return bytes.toString('latin1').endsWith('\r\n');
  return bytes.length === header.length + Number(length) + 2;
}

const encode = (command: readonly string[]): string =>
  `*${command.length}\r\n${command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`).join('')}`;

async function startAll(ports: number[], directory: string, argumentsOf: ArgumentsOf): Promise<TestServers> {
  const servers = new TestServers(ports, directory, argumentsOf);
  await servers.stopUnless(Promise.all(ports.map(untilUp)));
  return servers;
}

function launch(args: readonly string[]): ChildProcess {
  const binary = process.env['KEEP_TEST_SERVER_BIN'];
  if (binary === undefined) throw new Error('KEEP_TEST_SERVER_BIN is not set: run the tests with test/jest.config.mjs');
  return spawn(binary, args, { stdio: 'ignore', env: process.env });
}

const temporaryDirectory = (): string => mkdtempSync(join(tmpdir(), 'nestjs-keep-test-'));

const inMemory = (port: number, directory: string): string[] => [
  ...['--port', String(port), '--bind', HOST, '--dir', directory],
  ...['--save', '', '--appendonly', 'no', '--repl-diskless-sync-delay', '0'],
];

const nodeId = (port: number): string => createHash('sha1').update(`node ${port}`).digest('hex');

/** What `nodes.conf` of one node says about the whole cluster: ports 0–2 are primaries, 3–5 their replicas. */
function clusterTopology(ports: readonly number[], self: number): string {
  const slots = ['0-5460', '5461-10922', '10923-16383'];
  const lines = ports.map((port, index) => {
    const role = index < 3 ? 'master -' : `slave ${nodeId(ports[index - 3]!)}`;
    const flags = `${port === self ? 'myself,' : ''}${role}`;
    const epoch = (index % 3) + 1;
    return `${nodeId(port)} ${HOST}:${port}@${port + 10_000} ${flags} 0 0 ${epoch} connected ${slots[index] ?? ''}`.trimEnd();
  });
  return [...lines, 'vars currentEpoch 3 lastVoteEpoch 0', ''].join('\n');
}

interface SentinelSetup {
  readonly name: string;
  readonly downAfterMs: number;
  readonly port: number;
  readonly primary: number;
  readonly replica: number;
  readonly sentinels: readonly number[];
  readonly directory: string;
}

function sentinelConfig({ name, downAfterMs, port, primary, replica, sentinels, directory }: SentinelSetup): string {
  const others = sentinels.filter((other) => other !== port);
  return [
    ...[`port ${port}`, `bind ${HOST}`, `dir ${directory}`, `sentinel myid ${nodeId(port)}`],
    `sentinel monitor ${name} ${HOST} ${primary} 2`,
    `sentinel down-after-milliseconds ${name} ${downAfterMs}`,
    `sentinel failover-timeout ${name} 2000`,
    `sentinel known-replica ${name} ${HOST} ${replica}`,
    ...others.map((other) => `sentinel known-sentinel ${name} ${HOST} ${other} ${nodeId(other)}`),
    '',
  ].join('\n');
}

/** A server that asks for a password is up, too. */
const untilUp = (port: number): Promise<void> =>
  untilEvery([port], ['PING'], (reply) => /^(\+PONG|-NOAUTH)/.test(reply));

const untilClusterIsFormed = (ports: readonly number[]): Promise<void> =>
  untilEvery(ports, ['CLUSTER', 'INFO'], (reply) => reply.includes('cluster_state:ok'));

const untilReplicating = (ports: readonly number[]): Promise<void> =>
  untilEvery(ports, ['INFO', 'replication'], (reply) => reply.includes('master_link_status:up'));

async function untilEvery(ports: readonly number[], command: string[], isReady: (reply: string) => boolean) {
  const allReady = async () => (await Promise.all(ports.map((port) => ask(port, ...command)))).every(isReady);
  await eventually(allReady, { withinMs: READY_WITHIN_MS, everyMs: 20 });
}
