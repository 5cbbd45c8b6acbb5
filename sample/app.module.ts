import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { APP_INTERCEPTOR } from '@nestjs/core';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { CacheModule } from 'nestjs-keep';
import { CatalogModule } from './catalog/catalog.module.ts';
import { DatabaseModule } from './database/database.module.ts';
import { FeedModule } from './feed/feed.module.ts';
import { PaymentsModule } from './payments/payments.module.ts';
import { ResponseTimeInterceptor } from './response-time.interceptor.ts';
import { StatusModule } from './status/status.module.ts';

@Module({
  imports: [
    ConfigModule.forRoot(),
    // In memory, or on the server that the environment names: VALKEY_URL=redis://localhost:6379
    CacheModule.forRoot(),
    PrometheusModule.register(),
    DatabaseModule,
    CatalogModule,
    FeedModule,
    PaymentsModule,
    StatusModule,
  ],
  providers: [{ provide: APP_INTERCEPTOR, useClass: ResponseTimeInterceptor }],
})
export class AppModule {}
