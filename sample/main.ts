import { Logger, StandardSchemaValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import { CacheService } from 'nestjs-keep';
import { adminPath } from './admin-token.ts';
import { AppModule } from './app.module.ts';

// `ConfigModule` in `AppModule` has read the file `.env` by now, if there is one.
const { HTTP_ADAPTER: platform = 'express', PORT: port = '3000', HOST: host = '127.0.0.1', CORS_ORIGIN } = process.env;
const PAGES = [
  '/products/1',
  '/feed/ada',
  '/payments/quote',
  '/docs',
  '/health',
  '/metrics',
  '/stats/cache',
  '/stats/circuit-breakers',
];

const app = await NestFactory.create(AppModule, platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter());
app.enableShutdownHooks();
app.enableCors({ origin: CORS_ORIGIN?.split(',') ?? false });
app.useGlobalPipes(new StandardSchemaValidationPipe());

const api = new DocumentBuilder().setTitle('nestjs-keep sample').addBearerAuth().build();
SwaggerModule.setup('docs', app, () => SwaggerModule.createDocument(app, api));

await app.listen(port, host);
const { mode } = app.get(CacheService).getLocalStats();
const url = await app.getUrl();
new Logger('Sample').log(
  [`Cache mode: ${mode}. Open:`, ...[...PAGES, adminPath()].map((page) => `  ${url}${page}`)].join('\n'),
);
