import { type Availability, ConnectionState } from './connection-state.ts';

describe('ConnectionState', () => {
  let lines: string[];
  let state: ConnectionState;

  beforeEach(() => {
    lines = [];
    state = new ConnectionState('127.0.0.1:6379', {
      log: (message) => lines.push(`log ${message}`),
      warn: (message) => lines.push(`warn ${message}`),
    });
  });

  it('tells and logs each change once, however often it is noticed', () => {
    const changes: [Availability, string][] = [];
    state.onChange((to, reason) => changes.push([to, reason]));
    for (let times = 0; times < 3; times += 1) state.change('unavailable', 'ECONNREFUSED');
    for (let times = 0; times < 3; times += 1) state.change('available', 'connected');
    expect(changes).toEqual([
      ['unavailable', 'ECONNREFUSED'],
      ['available', 'connected'],
    ]);
    expect(lines).toEqual([
      'warn No connection to 127.0.0.1:6379 (ECONNREFUSED); it is tried again until it succeeds',
      'log Connected to 127.0.0.1:6379',
    ]);
  });

  it('is not available before the first change', () => {
    expect(state.isAvailable).toBe(false);
    state.change('available', 'connected');
    expect(state.isAvailable).toBe(true);
    state.change('unavailable', 'gone');
    expect(state.isAvailable).toBe(false);
  });

  it('tells the other listeners when one throws', () => {
    const heard: string[] = [];
    state.onChange(() => {
      throw new Error('broken');
    });
    state.onChange((to) => heard.push(to));
    state.change('available', 'connected');
    expect(heard).toEqual(['available']);
    expect(lines).toContain('warn A listener for 127.0.0.1:6379 failed: Error: broken');
  });

  it('stops telling a listener that has had enough, once per time it was added', () => {
    const heard: string[] = [];
    const listener = (to: Availability) => heard.push(to);
    const [stop] = [state.onChange(listener), state.onChange(listener)];
    stop();
    stop();
    state.change('available', 'connected');
    expect(heard).toEqual(['available']);
  });

  it('lets callers wait for the server, through failures', async () => {
    const waiting = state.whenAvailable();
    state.change('unavailable', 'ECONNREFUSED');
    state.change('available', 'connected');
    await expect(waiting).resolves.toBeUndefined();
    await expect(state.whenAvailable()).resolves.toBeUndefined();
  });
});
