import 'reflect-metadata';
import { Controller, type ExecutionContext, Get, Headers, Res } from '@nestjs/common';
import { Cacheable } from '../../src/index.ts';
import { HttpClient } from '../support/http-client.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';

interface Reply {
  header(name: string, value: string): Reply;
}

const tenantOf = (context: ExecutionContext): string | undefined =>
  context.switchToHttp().getRequest<{ headers: Record<string, string> }>().headers['x-tenant'];

describe.each(PLATFORMS)('options of the response cache on %s', (platform) => {
  @Controller()
  class Pages {
    runs = 0;

    @Cacheable({ ttl: '1m', browser: '30s' })
    @Get('browser')
    browser(): object {
      return { run: ++this.runs };
    }

    @Cacheable({ ttl: '1m', browser: '30s', scope: tenantOf })
    @Get('personal')
    personal(): object {
      return { run: ++this.runs };
    }

    @Cacheable({ ttl: '1m', scope: tenantOf })
    @Get('own')
    own(@Res({ passthrough: true }) reply: Reply): object {
      reply.header('cache-control', 'max-age=5');
      return { run: ++this.runs };
    }

    @Cacheable('1m')
    @Get('language')
    language(@Headers('accept-language') language: string, @Res({ passthrough: true }) reply: Reply): object {
      reply.header('vary', 'Accept-Language, Accept-Encoding').header('x-once', 'now').header('x-kept', 'yes');
      return { language, run: ++this.runs };
    }
  }

  let app: Awaited<ReturnType<typeof openHttpApp>>;
  let client: HttpClient;
  beforeAll(async () => {
    const http = { languages: ['en', 'fr'], dropHeaders: ['X-Once'] };
    app = await openHttpApp({ platform, controllers: [Pages], cache: { http } });
    client = await HttpClient.of(app);
  });
  afterAll(async () => {
    client.close();
    await app.close();
  });
  const twice = async (path: string, headers = {}) => [
    await client.get(path, headers),
    await client.get(path, headers),
  ];

  it.each([
    ['browser', 'max-age=30'],
    ['personal', 'private, max-age=30'],
    ['own', 'max-age=5, private'],
  ])('tell caches further down what they may keep of %s: %s (HTTP-23)', async (path, control) => {
    const replies = await twice(`/${path}`, { 'x-tenant': 'a' });
    expect(replies.map(({ headers }) => headers['cache-control'])).toEqual([control, control]);
    expect(replies.map(({ headers }) => headers['x-cache'])).toEqual(['MISS', 'HIT']);
  });

  it('make one variant of all that means the same language, and none of codings (HTTP-12)', async () => {
    const ask = async (language: string, coding: string): Promise<unknown[]> => {
      const reply = await client.get('/language', { 'accept-language': language, 'accept-encoding': coding });
      return [JSON.parse(reply.text) as object, reply.headers['x-cache']];
    };
    const [english] = await ask('en-GB,en;q=0.9', 'gzip');
    expect(await ask('de,en;q=0.1', 'br')).toEqual([english, 'HIT']);
    const [french] = await ask('fr;q=1, en;q=0.5', 'gzip');
    expect(french).toMatchObject({ language: 'fr;q=1, en;q=0.5' });
    expect(await ask('fr-CA', 'identity')).toEqual([french, 'HIT']);
  });

  it('leave out of entries what the application names (HTTP-24)', async () => {
    const [first, second] = await twice('/language', { 'accept-language': 'fr', 'x-fresh': '1' });
    expect([first!.headers['x-kept'], second!.headers['x-kept']]).toEqual(['yes', 'yes']);
    expect(second!.headers['x-cache']).toBe('HIT');
    expect(second!.headers['x-once']).toBeUndefined();
  });
});
