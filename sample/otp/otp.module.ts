import { Module } from '@nestjs/common';
import { OtpController } from './otp.controller.ts';

@Module({ controllers: [OtpController] })
export class OtpModule {}
