import { PLATFORMS } from '../support/http-app.ts';
import { type Answer, SampleProcess } from '../support/sample.ts';
import { startStandalone, type TestServers } from '../support/servers.ts';

const as = (userId: string) => ({ authorization: `Bearer ${userId}` });
const statusesOf = (answers: readonly Answer[]) => answers.map(({ status }) => status);

describe.each(PLATFORMS)('the limits and locks of the sample on %s', (platform) => {
  let sample: SampleProcess;
  beforeAll(async () => {
    sample = await SampleProcess.start({ platform });
  });
  afterAll(() => sample.stop());

  const post = (path: string, body: unknown, userId?: string) =>
    sample.request('POST', path, body, userId === undefined ? {} : as(userId));
  /** One after the other. */
  async function times(count: number, act: (index: number) => Promise<Answer>): Promise<Answer[]> {
    const answers: Answer[] = [];
    for (let index = 0; index < count; index++) answers.push(await act(index));
    return answers;
  }
  const order = (userId?: string) => post('/orders', { productId: 1, quantity: 2 }, userId);

  it('take one order of a user at a time', async () => {
    const [ada, adaAgain, grace] = await Promise.all([order('ada'), order('ada'), order('grace')]);
    expect([ada.status, adaAgain.status].sort()).toEqual([201, 409]);
    const refused = [ada, adaAgain].find(({ status }) => status === 409);
    expect(Number(refused?.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(grace.status).toBe(201);
    expect((await order('ada')).body).toMatchObject({ productId: 1, quantity: 2 });
  });

  it('take 20 orders of a user an hour', async () => {
    const statuses = statusesOf(await times(21, () => post('/orders', { productId: 99, quantity: 1 }, 'linus')));
    expect(statuses).toEqual([...Array<number>(20).fill(404), 429]);
    expect((await order('alan')).status).toBe(201);
  });

  it.each([{}, { productId: 1 }, { productId: 1, quantity: 0 }, { productId: 'x', quantity: 1 }, []])(
    'refuse the order %j',
    async (body) => {
      expect((await post('/orders', body, 'mallory')).status).toBe(400);
    },
  );

  it('send three codes to a phone, and block one that asks for more and more', async () => {
    const ask = () => post('/otp', { phone: '+4915100000001' });
    const answers = await times(7, ask);
    expect(statusesOf(answers)).toEqual([202, 202, 202, 429, 429, 429, 429]);
    expect(answers[0]!.body).toEqual({ sentTo: '…01' });
    const waits = answers.slice(3).map(({ headers }) => Number(headers['retry-after']));
    // Ten minutes, and a twelfth: the window moves on in steps.
    expect(waits[0]).toBeLessThanOrEqual(660);
    expect(waits.at(-1)).toBeGreaterThan(3_000);
  });

  it('send ten codes for an address, whatever the phones', async () => {
    const statuses = statusesOf(await times(12, (index) => post('/otp', { phone: `+49151000001${10 + index}` })));
    expect(statuses.at(0)).toBe(202);
    expect(statuses.at(-1)).toBe(429);
    expect(statuses.filter((status) => status === 202).length).toBeLessThanOrEqual(7);
  });

  it.each([
    ['somebody', undefined, 3],
    ['bronze', 'barbara', 3],
    ['silver', 'linus', 10],
  ])('take as many uploads a day as a tier allows: %s', async (_, userId, limit) => {
    const answers = await times(limit + 1, () => post('/uploads', { name: 'a.jpg' }, userId));
    expect(statusesOf(answers)).toEqual([...Array<number>(limit).fill(201), 429]);
    expect(answers[0]!.headers['ratelimit-policy']).toMatch(new RegExp(`"uploads-day";q=${limit};w=86400`));
    expect(answers[0]!.headers['ratelimit-policy']).toContain('"uploads-week"');
    expect(answers.at(-1)!.text).toContain('uploads-day');
  });

  it('take more of gold and diamond', async () => {
    for (const [userId, limit] of [
      ['ada', 30],
      ['grace', 100],
    ] as const) {
      const { headers } = await post('/uploads', { name: 'a.jpg' }, userId);
      expect(headers['ratelimit-policy']).toContain(`"uploads-day";q=${limit}`);
    }
  });

  it('are in the OpenAPI document', async () => {
    const { paths } = (await sample.get('/docs-json')).body as { paths: Record<string, object> };
    for (const path of ['/orders', '/otp', '/uploads']) {
      expect(paths[path]).toMatchObject({ post: { responses: { 429: {} } } });
    }
  });
});

describe('the limits and locks of the sample without the server that it was given', () => {
  let server: TestServers;
  let sample: SampleProcess;
  beforeAll(async () => {
    server = await startStandalone();
    sample = await SampleProcess.start({ env: { VALKEY_URL: server.url } });
    await server.kill();
  });
  afterAll(async () => {
    await sample.stop();
    await server.stop();
  });

  it('send no code that nobody counts, take no order twice, and go on with uploads', async () => {
    const otp = await sample.request('POST', '/otp', { phone: '+4915100000001' });
    const order = await sample.request('POST', '/orders', { productId: 1, quantity: 1 }, as('ada'));
    const upload = await sample.request('POST', '/uploads', { name: 'a.jpg' });
    expect(statusesOf([otp, order, upload])).toEqual([503, 503, 201]);
    for (const { headers } of [otp, order]) expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
  });
});
