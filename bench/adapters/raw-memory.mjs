/** What memory itself allows: a Map, and what expiry, recency, a promise and a private copy add to it. */
import { clearInterval, setInterval } from 'node:timers';
import { HOUR_MS } from '../lib/payload.mjs';

/** Entries expire by a clock that a timer moves on, and are marked when read, as SIEVE wants it. */
class ExpiringMap {
  entries = new Map();
  now = Date.now();
  timer = setInterval(() => (this.now = Date.now()), 10).unref();

  fill(key, value) {
    this.entries.set(key, { value, expiresAt: this.now + HOUR_MS, visited: false });
  }

  read(key) {
    const entry = this.entries.get(key);
    if (entry === undefined || entry.expiresAt <= this.now) return undefined;
    entry.visited = true;
    return entry.value;
  }

  close() {
    clearInterval(this.timer);
  }
}

const overMap = (map, read, isSync) => ({
  isSync,
  fill: (key, value) => map.fill(key, value),
  read,
  close: () => map.close(),
});

export default {
  memory: {
    'raw: Map': () => {
      const map = new Map();
      return {
        isSync: true,
        fill: (key, value) => map.set(key, value),
        read: (key) => map.get(key),
        close: () => map.clear(),
      };
    },
    'raw: expiring Map': () => {
      const map = new ExpiringMap();
      return overMap(map, (key) => map.read(key), true);
    },
    'raw: async function over an expiring Map': () => {
      const map = new ExpiringMap();
      return overMap(map, async (key) => map.read(key), false);
    },
    'raw: Map of JSON, parsed': () => {
      const map = new Map();
      return {
        isSync: true,
        fill: (key, value) => map.set(key, JSON.stringify(value)),
        read: (key) => JSON.parse(map.get(key)),
        close: () => map.clear(),
      };
    },
  },
};
