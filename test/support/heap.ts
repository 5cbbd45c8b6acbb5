import { get, type IncomingMessage } from 'node:http';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

const LOOK_EVERY_BYTES = 8 * 1024 ** 2;

/** What is still referred to, in megabytes: the heap and buffers beside it, after everything else was collected. */
export function usedMegabytes(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return (heapUsed + external) / 1024 ** 2;
}

/** Reads an answer without keeping it: how long it is, and how much more was in use at most while it came. */
export async function readUnkept(url: string): Promise<{ readonly bytes: number; readonly megabytes: number }> {
  const before = usedMegabytes();
  let [bytes, lookedAt, peak] = [0, 0, 0];
  const response = await new Promise<IncomingMessage>((resolve, reject) => get(url, resolve).on('error', reject));
  for await (const piece of response) {
    bytes += (piece as Buffer).length;
    if (bytes - lookedAt < LOOK_EVERY_BYTES) continue;
    lookedAt = bytes;
    peak = Math.max(peak, usedMegabytes() - before);
  }
  return { bytes, megabytes: peak };
}
