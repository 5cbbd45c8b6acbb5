import type { Json } from './api.ts';
import { byId, cell, row } from './dom.ts';

const KEPT = 60;
const FIGURES = [
  { id: 'hitRatio', title: 'Hit ratio', shown: (value: number) => `${(value * 100).toFixed(1)} %` },
  { id: 'p99Ms', title: 'p99', shown: (value: number) => `${value} ms` },
  { id: 'loads', title: 'Loads', shown: String },
  { id: 'errors', title: 'Errors', shown: String },
] as const;
const history = new Map<string, number[]>();

/** Remembers the figures for the charts. */
export function sample(stats: Json): void {
  for (const { id } of FIGURES) history.set(id, [...(history.get(id) ?? []), Number(stats[id])].slice(-KEPT));
}

export function showTiles(stats: Json): void {
  const extras: Record<string, string> = {
    hitRatio: `${String(stats['hits'])} hits, ${String(stats['stale'])} stale`,
    p99Ms: `p50 ${String(stats['p50Ms'])} ms`,
    loads: `${String(stats['coalesced'])} reads shared one`,
    errors: `${String(stats['throughput'])} reads/s, last 5 min`,
  };
  byId('tiles').replaceChildren(
    ...FIGURES.map(({ id, title, shown }) => {
      const made = document.createElement('div');
      made.className = 'tile';
      const [name, value, extra] = [
        document.createElement('p'),
        document.createElement('strong'),
        document.createElement('p'),
      ];
      name.textContent = title;
      value.textContent = shown(Number(stats[id]));
      extra.textContent = extras[id] ?? '';
      made.append(name, value, chart(title, history.get(id) ?? [], shown), extra);
      return made;
    }),
  );
  byId('figures').replaceChildren(
    ...FIGURES.map(({ id, title, shown }) => {
      const values = history.get(id) ?? [0];
      return row(
        cell(title),
        cell(shown(Math.min(...values))),
        cell(shown(Math.max(...values))),
        cell(shown(values.at(-1) ?? 0)),
      );
    }),
  );
}

const SVG = 'http://www.w3.org/2000/svg';

function chart(title: string, values: readonly number[], shown: (value: number) => string): SVGElement {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const made = document.createElementNS(SVG, 'svg');
  made.setAttribute('viewBox', '0 0 100 20');
  made.setAttribute('preserveAspectRatio', 'none');
  made.setAttribute('role', 'img');
  made.setAttribute(
    'aria-label',
    `${title}: lowest ${shown(low)}, highest ${shown(high)}, now ${shown(values.at(-1) ?? 0)}`,
  );
  const line = document.createElementNS(SVG, 'polyline');
  const points = values.map(
    (value, index) =>
      `${(index / Math.max(values.length - 1, 1)) * 100},${high === low ? 10 : 19 - ((value - low) / (high - low)) * 18}`,
  );
  line.setAttribute('points', points.join(' '));
  line.setAttribute('vector-effect', 'non-scaling-stroke');
  made.append(line);
  return made;
}
