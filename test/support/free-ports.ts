import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';

export const HOST = '127.0.0.1';

/** Ports nobody uses. They and their cluster bus (port + 10000) are below those that outgoing connections are given. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, listenSomewhere));
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map(closeServer));
  return ports;
}

async function listenSomewhere(): Promise<Server> {
  for (;;) {
    const server = createServer().listen(10_000 + Math.floor(Math.random() * 10_000), HOST);
    try {
      await once(server, 'listening');
      return server;
    } catch {
      // Taken: draw again.
    }
  }
}

async function closeServer(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  await closed;
}
