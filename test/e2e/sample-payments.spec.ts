import { eventually } from '../support/eventually.ts';
import { PLATFORMS } from '../support/http-app.ts';
import { SampleProcess } from '../support/sample.ts';

const BY_PROVIDER = { currency: 'EUR', feeCents: 35, source: 'provider' };
const BY_FALLBACK = { currency: 'EUR', feeCents: 50, source: 'fallback' };

interface Stats {
  readonly payments: { readonly state: string; readonly nextTryAt: number | null; readonly stats: object };
}

describe.each(PLATFORMS)('the payments of the sample on %s', (platform) => {
  let sample: SampleProcess;
  beforeAll(async () => {
    sample = await SampleProcess.start({ platform });
  });
  afterAll(() => sample.stop());

  const quote = async () => (await sample.get('/payments/quote')).body;
  const payments = async () => ((await sample.get('/stats/circuit-breakers')).body as Stats).payments;
  const switchTo = async (mode: string) =>
    expect(await sample.request('POST', '/payments/chaos', { mode })).toMatchObject({ status: 200, body: { mode } });

  it('show a closed circuit before they are asked', async () => {
    expect(await payments()).toMatchObject({ state: 'CLOSED', nextTryAt: null, stats: { fires: 0 } });
  });

  it('ask the provider', async () => {
    expect(await quote()).toEqual(BY_PROVIDER);
  });

  it.each(['{}', '{"mode":"broken"}', '{"mode":"ok","more":1}', '[]', 'null', '{'])('refuse %s', async (body) => {
    expect((await sample.request('POST', '/payments/chaos', body)).status).toBe(400);
  });

  it('always have an answer: of a slow provider, of one that is down, and of one that is left alone', async () => {
    await switchTo('slow');
    expect(await quote()).toEqual(BY_FALLBACK);
    await switchTo('fail');
    for (let times = 0; times < 5; times++) expect(await quote()).toEqual(BY_FALLBACK);
    const { state, nextTryAt, stats } = await payments();
    expect(state).toBe('OPEN');
    expect(nextTryAt).toBeGreaterThan(Date.now());
    expect(stats).toMatchObject({ timeouts: 1, fallbacks: 6 });
    expect(sample.output).toMatch(/Circuit "payments" is open: .* tried again in \d+ ms/);
  });

  it('ask the provider again when it is back and the break is over', async () => {
    await switchTo('ok');
    expect(await quote()).toEqual(BY_FALLBACK);
    await eventually(async () => expect(await payments()).toMatchObject({ state: 'HALF_OPEN' }), { withinMs: 10_000 });
    expect(await quote()).toEqual(BY_PROVIDER);
    expect(await payments()).toMatchObject({ state: 'CLOSED', nextTryAt: null });
  });

  it('are in the OpenAPI document', async () => {
    const { paths } = (await sample.get('/docs-json')).body as { paths: Record<string, object> };
    expect(paths).toMatchObject({ '/payments/quote': { get: {} }, '/payments/chaos': { post: {} } });
    expect(paths).toHaveProperty(['/stats/circuit-breakers']);
  });
});
