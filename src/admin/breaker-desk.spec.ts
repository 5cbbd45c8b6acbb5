import { CircuitBreakerService } from '../circuit-breaker/circuit-breaker.service.ts';
import type { AdminPeers, PeerListener } from './admin-peers.ts';
import { BreakerDesk, type BreakerEvent } from './breaker-desk.ts';

let circuits: CircuitBreakerService;
let desk: BreakerDesk;
let hear: PeerListener;
let events: BreakerEvent[];
beforeEach(async () => {
  jest.useFakeTimers();
  circuits = new CircuitBreakerService();
  events = [];
  const peers = { onMessage: (listener: PeerListener) => (hear = listener) } as unknown as AdminPeers;
  desk = new BreakerDesk(circuits, peers, (event) => events.push(event));
  await circuits.execute('orders', () => Promise.resolve(1), { volumeThreshold: 1 });
});
afterEach(() => {
  desk.stop();
  circuits.onApplicationShutdown();
  jest.useRealTimers();
});

const state = () => desk.get('orders')?.state;

it('lets a breaker decide again that was held by hand, and leaves one alone that opened by itself', async () => {
  desk.set({ name: 'orders', state: 'forced-open' });
  desk.set({ name: 'orders', state: 'auto' });
  expect(state()).toBe('closed');
  for (let call = 0; call < 3; call++) {
    await circuits.execute('orders', () => Promise.reject(new Error('down'))).catch(() => undefined);
  }
  expect(state()).toBe('open');
  desk.set({ name: 'orders', state: 'auto' });
  expect(state()).toBe('open');
});

it('holds it for the time of the last order', () => {
  desk.set({ name: 'orders', state: 'forced-open', ttlMs: 1_000 });
  desk.set({ name: 'orders', state: 'forced-open' });
  jest.advanceTimersByTime(2_000);
  expect(state()).toBe('forced-open');
  desk.set({ name: 'orders', state: 'disabled', ttlMs: 1_000 });
  expect(state()).toBe('disabled');
  jest.advanceTimersByTime(1_000);
  expect(state()).toBe('closed');
  expect(desk.set({ name: 'none', state: 'closed' })).toBe(false);
});

it('does what another instance asks for, if that can be meant', () => {
  for (const wrong of [
    { kind: 'x' },
    { kind: 'breaker', name: 7 },
    { kind: 'breaker', name: 'orders', state: 'open' },
  ]) {
    hear({ name: 'orders', state: 'forced-open', ...wrong });
    expect(state()).toBe('closed');
  }
  hear({ kind: 'breaker', name: 'orders', state: 'forced-open', ttlMs: 1_000 });
  hear({ kind: 'breaker', name: 'orders', state: 'open' });
  expect(state()).toBe('forced-open');
  jest.advanceTimersByTime(1_000);
  expect(state()).toBe('closed');
});

it('tells what it did, newest first, page by page', () => {
  desk.set({ name: 'orders', state: 'forced-open' });
  expect(desk.get('orders')?.opensAtMs).toBe(Date.now());
  desk.set({ name: 'orders', state: 'closed' });
  expect(desk.get('orders')?.opensAtMs).toBeNull();
  const [newest, before] = desk.events('orders', undefined, 10);
  expect([newest?.to, before?.to]).toEqual(['closed', 'forced-open']);
  expect(desk.events('orders', newest?.id, 10)).toEqual([before]);
  expect(desk.events('none', undefined, 10)).toEqual([]);
  expect(events).toEqual([before, newest]);
});
