import { performance } from 'node:perf_hooks';
import { setTimeout as sleep } from 'node:timers/promises';

const PRODUCTS = 200;
/** How long visitors look at what they got, at most. */
const LOOK_MS = 100;
const FEEDS = ['/feed/ada?page=1', '/feed/ada?page=2', '/feed/grace?page=1'];

/** The catalogue as its visitors know it. Prices only grow, so that an answer tells how old it is. */
export class Shop {
  latencies = [];
  writes = 0;
  outdated = 0;
  #sample;
  /** Product ids; the first ones are asked for most. */
  #ids = [];
  /** The price of each product when its last change was acknowledged. */
  #prices = new Map();
  #changing = new Set();

  constructor(sample) {
    this.#sample = sample;
  }

  async stock() {
    const add = (at) => this.#send('POST', '/products', { name: `Product ${at}`, priceCents: 1 });
    const added = await Promise.all(Array.from({ length: PRODUCTS }, (_, at) => add(at)));
    this.#ids = added.map(({ id }) => id);
    for (const id of this.#ids) this.#prices.set(id, 1);
  }

  startCounting() {
    this.latencies = [];
    this.writes = 0;
  }

  async read(path) {
    const known = new Map(this.#prices);
    const askedAt = performance.now();
    const body = await this.#send('GET', path);
    this.latencies.push(performance.now() - askedAt);
    const products = [body].flat().filter(({ id }) => known.has(id));
    this.outdated += products.filter(({ id, priceCents }) => priceCents < known.get(id)).length;
  }

  /** One change of a product at a time: of two, nobody could say which one has to win. */
  async change(id) {
    if (this.#changing.has(id)) return;
    this.#changing.add(id);
    const priceCents = this.#prices.get(id) + 1;
    await this.#send('PUT', `/products/${id}`, { name: `Product ${id}`, priceCents });
    this.#prices.set(id, priceCents);
    this.#changing.delete(id);
    this.writes++;
  }

  /** @param popularity 0 to 1; the most popular ones are far ahead, as in any shop */
  product(popularity) {
    return this.#ids[Math.floor(PRODUCTS * popularity ** 3)];
  }

  async #send(method, path, body) {
    const answer = await this.#sample.send(method, path, body);
    if (answer.status >= 400) throw new Error(`${method} ${path} was answered with ${answer.status}`);
    return answer.body;
  }
}

/** One visitor of the shop. What it does is drawn from a number of its own: every run is the same. */
export async function visit(shop, { seed, requests }) {
  const random = randomFrom(seed);
  for (let made = 0; made < requests; made++) {
    await act(shop, random);
    await sleep(random() * LOOK_MS);
  }
}

function act(shop, random) {
  const choice = random();
  const id = shop.product(random());
  if (choice < 0.005) return shop.change(id);
  if (choice < 0.2) return shop.read('/products');
  if (choice < 0.5) return shop.read(FEEDS[Math.floor(random() * FEEDS.length)]);
  return shop.read(`/products/${id}`);
}

/** Numbers from 0 to 1 that are the same in each run (mulberry32). */
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
