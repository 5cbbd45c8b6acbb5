import { Body, Controller, Get, HttpCode, Post } from '@nestjs/common';
import { ApiBadRequestResponse, ApiOkResponse, ApiTags } from '@nestjs/swagger';
import { PaymentProvider } from './payment.provider.ts';
import { chaos, type Chaos, quote, type Quote } from './payment.ts';
import { PaymentsService } from './payments.service.ts';

@ApiTags('payments')
@Controller('payments')
export class PaymentsController {
  constructor(
    private readonly payments: PaymentsService,
    private readonly provider: PaymentProvider,
  ) {}

  @Get('quote')
  @ApiOkResponse({ standardSchema: quote })
  quote(): Promise<Quote> {
    return this.payments.quote();
  }

  /** For the demonstration: makes the provider slow, takes it down, or brings it back. */
  @Post('chaos')
  @HttpCode(200)
  @ApiOkResponse({ standardSchema: chaos })
  @ApiBadRequestResponse()
  chaos(@Body({ schema: chaos }) { mode }: Chaos): Chaos {
    this.provider.mode = mode;
    return { mode };
  }
}
