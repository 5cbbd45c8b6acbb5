import { ResponseTurn } from './response-turn.ts';

const NEVER = new Promise<never>(() => undefined);
const RENDERED = { bytes: Buffer.from('any'), freshMs: 1, staleMs: 0, tags: [] };

describe('the turn of a request', () => {
  beforeEach(() => jest.useFakeTimers());
  afterEach(() => jest.useRealTimers());

  it('comes, and what comes of it goes to the store', async () => {
    const turn = new ResponseTurn();
    const outcome = turn.outcome(NEVER);
    const taken = turn.take();
    expect(await outcome).toBe('mine');
    turn.done(RENDERED);
    expect(await taken).toBe(RENDERED);
  });

  it('is not needed when somebody else was there first, and does not come then', async () => {
    const turn = new ResponseTurn();
    expect(await turn.outcome(Promise.resolve('of another one'))).toBe('of another one');
    expect(await turn.take()).toBeUndefined();
  });

  it('is waited for five seconds, and does not come after that (HTTP-18)', async () => {
    const turn = new ResponseTurn();
    let outcome: unknown;
    void turn.outcome(NEVER).then((given) => (outcome = given));
    await jest.advanceTimersByTimeAsync(4_999);
    expect(outcome).toBeUndefined();
    await jest.advanceTimersByTimeAsync(1);
    expect(outcome).toBe('late');
    expect(await turn.take()).toBeUndefined();
  });

  it('tells the store of a failure', async () => {
    const turn = new ResponseTurn();
    const taken = turn.take();
    turn.done(Promise.reject(new Error('failed')));
    await expect(taken).rejects.toThrow('failed');
  });
});
