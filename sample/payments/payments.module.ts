import { Module } from '@nestjs/common';
import { PaymentProvider } from './payment.provider.ts';
import { PaymentsController } from './payments.controller.ts';
import { PaymentsService } from './payments.service.ts';

@Module({ controllers: [PaymentsController], providers: [PaymentsService, PaymentProvider] })
export class PaymentsModule {}
