import { Logger, StandardSchemaValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { CacheService } from 'nestjs-keep';
import { adminPath } from './admin-token.ts';
import { AppModule } from './app.module.ts';
import { freePort } from './free-port.ts';

// `ConfigModule` in `AppModule` has read the file `.env` by now, if there is one.
const { HTTP_ADAPTER: platform = 'express', PORT: port = '3000', HOST: host = '127.0.0.1', CORS_ORIGIN } = process.env;
const PAGES = [
  '/products/1',
  '/feed/ada',
  '/payments/quote',
  '/gateway/products/1',
  '/docs',
  '/health',
  '/metrics',
  '/stats/cache',
  '/stats/circuit-breakers',
];

// The gateway of the sample forwards to the sample: it has to know where that will be.
process.env['PORT'] = port === '0' ? String(await freePort()) : port;

const app = await NestFactory.create(AppModule, platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter());
app.enableShutdownHooks();
app.enableCors({ origin: CORS_ORIGIN?.split(',') ?? false });
app.useGlobalPipes(new StandardSchemaValidationPipe());

const api = new DocumentBuilder().setTitle('nestjs-keep sample').addBearerAuth().build();
SwaggerModule.setup('docs', app, () => SwaggerModule.createDocument(app, api));

await app.listen(process.env['PORT'], host);
const { mode } = app.get(CacheService).getLocalStats();
const url = await app.getUrl();
new Logger('Sample').log(
  [`Cache mode: ${mode}. Open:`, ...[...PAGES, adminPath()].map((page) => `  ${url}${page}`)].join('\n'),
);
