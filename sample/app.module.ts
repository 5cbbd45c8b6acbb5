import { Module } from '@nestjs/common';
import { ConfigModule } from '@nestjs/config';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import { PrometheusModule } from '@willsoto/nestjs-prometheus';
import { CacheModule } from 'nestjs-keep';
import { AccountModule } from './account/account.module.ts';
import { adminToken } from './admin-token.ts';
import { DemoUserGuard } from './auth/demo-user.guard.ts';
import { CatalogModule } from './catalog/catalog.module.ts';
import { DatabaseModule } from './database/database.module.ts';
import { FeedModule } from './feed/feed.module.ts';
import { SampleGatewayModule } from './gateway/gateway.module.ts';
import { OrdersModule } from './orders/orders.module.ts';
import { OtpModule } from './otp/otp.module.ts';
import { otpPolicies } from './otp/otp.ts';
import { PaymentsModule } from './payments/payments.module.ts';
import { ResponseTimeInterceptor } from './response-time.interceptor.ts';
import { StatusModule } from './status/status.module.ts';
import { uploadPolicies } from './uploads/upload.ts';
import { UploadsModule } from './uploads/uploads.module.ts';

@Module({
  imports: [
    ConfigModule.forRoot(),
    // In memory, or on the server that the environment names: VALKEY_URL=redis://localhost:6379
    CacheModule.forRootAsync({
      useFactory: () => ({
        admin: { enabled: true, token: adminToken() },
        rateLimit: { policies: { otp: otpPolicies, uploads: uploadPolicies } },
      }),
    }),
    PrometheusModule.register(),
    DatabaseModule,
    AccountModule,
    CatalogModule,
    FeedModule,
    SampleGatewayModule,
    OrdersModule,
    OtpModule,
    PaymentsModule,
    StatusModule,
    UploadsModule,
  ],
  providers: [
    { provide: APP_GUARD, useClass: DemoUserGuard },
    { provide: APP_INTERCEPTOR, useClass: ResponseTimeInterceptor },
  ],
})
export class AppModule {}
