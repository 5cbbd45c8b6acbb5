import { Body, Controller, HttpCode, Post } from '@nestjs/common';
import {
  ApiAcceptedResponse,
  ApiBadRequestResponse,
  ApiServiceUnavailableResponse,
  ApiTags,
  ApiTooManyRequestsResponse,
} from '@nestjs/swagger';
import { RateLimit } from 'nestjs-keep';
import { otpRequest, type OtpRequest } from './otp.ts';

@ApiTags('otp')
@Controller('otp')
export class OtpController {
  /** Pretends to send a code. What it costs, and whom it annoys, is limited by phone and by address. */
  @Post()
  @HttpCode(202)
  @RateLimit('otp')
  @ApiAcceptedResponse()
  @ApiBadRequestResponse()
  @ApiTooManyRequestsResponse({ description: 'Too many codes for this phone, or from this address' })
  @ApiServiceUnavailableResponse({ description: 'Codes cannot be counted at the moment, so none are sent' })
  async send(@Body({ schema: otpRequest }) { phone }: OtpRequest): Promise<{ sentTo: string }> {
    return Promise.resolve({ sentTo: `…${phone.slice(-2)}` });
  }
}
