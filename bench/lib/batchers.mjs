import process from 'node:process';
import { setImmediate } from 'node:timers';

/**
 * Collects what is asked for in one turn of the event loop and sends it together: at the end of the callback while
 * nothing is under way, else at the end of the turn.
 *
 * @param send `(items) → Promise<results>`, in the same order
 */
export function perTurn(send, { maxItems = 128 } = {}) {
  let waiting = [];
  let underWay = 0;
  const flush = async () => {
    if (waiting.length === 0) return;
    const asked = waiting;
    waiting = [];
    underWay++;
    try {
      const results = await send(asked.map(({ item }) => item));
      asked.forEach(({ resolve }, index) => resolve(results?.[index]));
    } catch (error) {
      asked.forEach(({ reject }) => reject(error));
    } finally {
      underWay--;
    }
  };
  return (item) =>
    new Promise((resolve, reject) => {
      waiting.push({ item, resolve, reject });
      if (waiting.length === maxItems) void flush();
      else if (waiting.length === 1) (underWay === 0 ? process.nextTick : setImmediate)(flush);
    });
}

/** Callers who ask for the same key while it is being read share one read. */
export function shared(read) {
  const running = new Map();
  return (key) => {
    const known = running.get(key);
    if (known !== undefined) return known;
    const answer = read(key).finally(() => running.delete(key));
    running.set(key, answer);
    return answer;
  };
}
