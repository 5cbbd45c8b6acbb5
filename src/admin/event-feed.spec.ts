import { EventFeed, type FeedEvent } from './event-feed.ts';

it('keeps the last 256 events for who lost the connection, and no figures', () => {
  const feed = new EventFeed();
  for (let count = 0; count < 300; count++) feed.tell('breaker', count);
  feed.tell('stats', { hits: 1 });
  const kept = feed.since(0);
  expect(kept).toHaveLength(256);
  expect(kept.every(({ type }) => type === 'breaker')).toBe(true);
  expect(feed.since(298).map(({ data }) => data)).toEqual([298, 299]);
});

it('tells who listens, as long as it does', () => {
  const feed = new EventFeed();
  const heard: FeedEvent[] = [];
  const stop = feed.listen((event) => heard.push(event));
  feed.tell('mode', 'degraded');
  expect(feed.listeners).toBe(1);
  stop();
  feed.tell('mode', 'healthy');
  expect([feed.listeners, heard]).toEqual([0, [{ id: 1, type: 'mode', data: 'degraded' }]]);
});
