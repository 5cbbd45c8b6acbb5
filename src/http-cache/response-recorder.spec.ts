import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type RecordedResponse, type RecorderOptions, ResponseRecorder } from './response-recorder.ts';

function recorded(options: Partial<RecorderOptions> = {}) {
  const raw = new ServerResponse(new IncomingMessage(new Socket()));
  const sent: string[] = [];
  raw.end = ((chunk: unknown) => {
    sent.push(String(chunk));
    return raw;
  }) as typeof raw.end;
  const onHead = () => ({ kind: 'send', set: [], remove: [] }) as const;
  const recorder = new ResponseRecorder(raw, { maxBytes: 100, onHead, ...options });
  let outcome: RecordedResponse | undefined;
  void recorder.finished.then((response) => (outcome = response));
  return { raw, sent, recorder, outcome: () => outcome };
}

describe('the recorder of a response', () => {
  it('holds the last bytes back for whoever has to know of them first', async () => {
    let pass!: () => void;
    const known: RecordedResponse[] = [];
    const { raw, sent } = recorded({
      beforeEnd: (response) => {
        known.push(response);
        return new Promise<void>((resolve) => (pass = resolve));
      },
    });
    raw.statusCode = 201;
    raw.end('done');
    await nextTurn();
    expect([sent, raw.headersSent]).toEqual([[], true]);
    expect(known).toMatchObject([{ status: 201, isWhole: true, body: Buffer.from('done') }]);
    raw.end('too late');
    pass();
    await nextTurn();
    expect(sent).toEqual(['done']);
  });

  it('lets them go when nobody could be told', async () => {
    const { raw, sent } = recorded({ beforeEnd: () => Promise.reject(new Error('away')) });
    raw.end('done');
    await nextTurn();
    expect(sent).toEqual(['done']);
  });

  it('waits for a handler that has outlived its client, and half a minute more', async () => {
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'nextTick'] });
    try {
      let end!: () => void;
      const { raw, recorder, outcome } = recorded();
      recorder.accompany(new Promise<void>((resolve) => (end = resolve)));
      raw.emit('close');
      await jest.advanceTimersByTimeAsync(600_000);
      expect(outcome()).toBeUndefined();
      end();
      await jest.advanceTimersByTimeAsync(29_000);
      expect(outcome()).toBeUndefined();
      await jest.advanceTimersByTimeAsync(2_000);
      expect(outcome()).toMatchObject({ isWhole: false });
    } finally {
      jest.useRealTimers();
    }
  });

  it('knows the answer of a handler that nobody waits for any more', async () => {
    const { raw, recorder, outcome } = recorded();
    recorder.accompany(Promise.resolve());
    raw.emit('close');
    raw.statusCode = 202;
    raw.end('late');
    await nextTurn();
    expect(outcome()).toMatchObject({ status: 202, isWhole: true, body: Buffer.from('late') });
  });
});
