import { NoticeLogs } from './cache-coherence.ts';
import { Notices, readNotice, type Notice } from './cache-notices.ts';

const word = (seq: number, run = 0, from = 'a'): Notice => ({ from, run, seq, keys: ['k'] });
const beat = (told: number, run = 0, from = 'a'): Notice => ({ from, run, seq: 0, told });

describe('NoticeLogs', () => {
  it('is content while nothing is missing', () => {
    const logs = new NoticeLogs();
    const heard = [beat(0), word(1), word(2), beat(2), word(3), beat(2), beat(3)];
    expect(heard.map((notice) => logs.accept(notice, 0))).toEqual(heard.map(() => true));
  });

  it('notices a missing word at the next heartbeat, once', () => {
    const logs = new NoticeLogs();
    [beat(0), word(1), word(3)].forEach((notice) => logs.accept(notice, 0));
    expect(logs.accept(beat(3), 0)).toBe(false);
    expect(logs.accept(beat(3), 0)).toBe(true);
  });

  it('waits for words that are overtaken', () => {
    const logs = new NoticeLogs();
    const heard = [beat(0), word(2), word(3), word(1), beat(3)];
    expect(heard.map((notice) => logs.accept(notice, 0))).toEqual(heard.map(() => true));
  });

  it('is content with a publisher that has just begun, and not with one that has spoken before', () => {
    const logs = new NoticeLogs();
    expect(logs.accept(word(1, 0, 'new'), 0)).toBe(true);
    expect(logs.accept(beat(0, 0, 'quiet'), 0)).toBe(true);
    expect(logs.accept(word(5, 0, 'old'), 0)).toBe(false);
    expect(logs.accept(beat(5, 0, 'older'), 0)).toBe(false);
    expect(logs.accept(beat(5, 0, 'older'), 0)).toBe(true);
  });

  it('distrusts a publisher that does not know itself what it has said', () => {
    const logs = new NoticeLogs();
    logs.accept(beat(0), 0);
    expect(logs.accept(word(1, 1), 0)).toBe(false);
    expect(logs.accept(beat(1, 1), 0)).toBe(true);
  });

  it('does not wait for a word for ever', () => {
    const logs = new NoticeLogs();
    logs.accept(beat(0), 0);
    const heard = Array.from({ length: 10_001 }, (_, index) => logs.accept(word(index + 2), 0));
    expect(heard.indexOf(false)).toBe(10_000);
  });

  it('forgets who is silent for a minute, and nobody else', () => {
    const logs = new NoticeLogs();
    for (const from of ['silent', 'busy']) logs.accept(beat(5, 0, from), 0);
    logs.accept(beat(5, 0, 'busy'), 50_000);
    logs.accept(beat(0, 0, 'new'), 70_000);
    expect(logs.accept(beat(5, 0, 'busy'), 70_000)).toBe(true);
    expect(logs.accept(beat(5, 0, 'silent'), 70_000)).toBe(false);
  });

  it('hears a duplicate without alarm', () => {
    const logs = new NoticeLogs();
    const heard = [beat(0), word(1), word(1), word(2), word(1), beat(2)];
    expect(heard.map((notice) => logs.accept(notice, 0))).toEqual(heard.map(() => true));
  });
});

describe('Notices', () => {
  const read = (text: string) => readNotice(Buffer.from(text));

  it('numbers what is sent, and promises in a heartbeat only what is done', async () => {
    const notices = new Notices();
    const texts: string[] = [];
    let finish!: () => void;
    const first = notices.send({ keys: ['a'] }, (text) => {
      texts.push(text);
      return new Promise<void>((resolve) => (finish = resolve));
    });
    await notices.send({ keys: ['b'] }, async (text) => void texts.push(text));
    expect(texts.map(read)).toMatchObject([{ seq: 1, keys: ['a'] }, { seq: 2, keys: ['b'] }]); // prettier-ignore
    expect(read(notices.heartbeat())).toMatchObject({ told: 0 });
    finish();
    await first;
    expect(read(notices.heartbeat())).toMatchObject({ told: 2 });
  });

  it('begins anew when it is not known whether a notice was sent', async () => {
    const notices = new Notices();
    const failing = notices.send({ keys: ['a'] }, () => Promise.reject(new Error('lost')));
    await expect(failing).rejects.toThrow('lost');
    expect(read(notices.heartbeat())).toMatchObject({ run: 1, told: 0 });
  });
});
