import { createConnection } from 'node:net';
import { eventually } from './eventually.ts';
import { HOST } from './free-ports.ts';
import { ask } from './servers.ts';

/** Every command that these servers are sent while `act` runs, from scripts too, in small letters. */
export async function monitored(ports: readonly number[], act: () => Promise<unknown>): Promise<string[]> {
  const monitors = ports.map((port) => {
    const monitor = { socket: createConnection(port, HOST), heard: '' };
    monitor.socket.on('data', (chunk) => (monitor.heard += chunk.toString()));
    monitor.socket.write('MONITOR\r\n');
    return monitor;
  });
  try {
    await eventually(() => monitors.every(({ heard }) => heard.startsWith('+OK')));
    await act();
    await Promise.all(ports.map((port) => ask(port, 'ECHO', 'the end')));
    await eventually(() => monitors.every(({ heard }) => heard.includes('the end')));
  } finally {
    for (const { socket } of monitors) socket.destroy();
  }
  return monitors.flatMap(({ heard }) => heard.split('\r\n').flatMap(commandIn));
}

function commandIn(line: string): string[] {
  const [, command] = /\] "(\w+)"/.exec(line) ?? [];
  return command === undefined ? [] : [command.toLowerCase()];
}
