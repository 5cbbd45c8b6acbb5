import 'reflect-metadata';
import { All, Controller, Get, Logger, StreamableFile } from '@nestjs/common';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Cacheable } from '../../src/index.ts';
import { Forward, GatewayModule } from '../../src/gateway/index.ts';
import { ChaosUpstream } from '../support/chaos-upstream.ts';
import { readUnkept } from '../support/heap.ts';
import { openHttpApp, PLATFORMS } from '../support/http-app.ts';
import { HttpClient } from '../support/http-client.ts';

const MB = 1024 ** 2;
const MEGABYTES = 200;
/** What sockets and streams hold between the two ends, and what is not collected yet. */
const MOST_MB = 40;

const stream = () => Readable.from(Array(MEGABYTES).fill(Buffer.alloc(MB, 7)), { objectMode: false });

@Controller()
class Files {
  @Cacheable('1m')
  @Get('file')
  file(): StreamableFile {
    return new StreamableFile(stream());
  }

  @All('shop/*path')
  @Forward('shop')
  shop(): void {
    // The gateway answers.
  }
}

describe.each(PLATFORMS)('memory while 200 MB go through a cache that could store them, on %s', (platform) => {
  it.each(['/file', '/shop/file', '/shop/sized'])(
    'stays flat (HTTP-09, GW-09): %s',
    async (path) => {
      for (const level of ['warn', 'log'] as const) jest.spyOn(Logger.prototype, level).mockReturnValue();
      const chaos = await ChaosUpstream.start();
      chaos.behaviours['/file'] = (_, response) => {
        response.setHeader('cache-control', 'max-age=60');
        return pipeline(stream(), response).catch(() => undefined);
      };
      chaos.behaviours['/sized'] = (_, response) => {
        response.setHeader('content-length', String(MEGABYTES * MB));
        return chaos.behaviours['/file']?.(_, response);
      };
      const upstreams = { shop: { origin: chaos.origin, allowPrivate: true } } as const;
      const app = await openHttpApp({
        platform,
        controllers: [Files],
        imports: [GatewayModule.forRoot({ upstreams })],
      });
      const client = await HttpClient.of(app);
      try {
        const { bytes, megabytes } = await readUnkept(`http://127.0.0.1:${client.port}${path}`);
        expect(bytes).toBe(MEGABYTES * MB);
        expect(megabytes).toBeLessThan(MOST_MB);
      } finally {
        client.close();
        await app.close();
        await chaos.close();
      }
    },
    120_000,
  );
});
