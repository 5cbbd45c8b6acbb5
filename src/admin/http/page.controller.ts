import { randomBytes } from 'node:crypto';
import { Get, Header, Inject, Res } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { DASHBOARD } from '../dashboard/dashboard.html.ts';
import { openApiDocument } from '../openapi.ts';
import { Public } from './admin.route.ts';

/** The page, and the description of the API: they hold no data. */
export class PageController {
  constructor(@Inject(HttpAdapterHost) private readonly host: HttpAdapterHost) {}

  @Get()
  @Public()
  @Header('Content-Type', 'text/html; charset=utf-8')
  page(@Res({ passthrough: true }) response: unknown): string {
    const nonce = randomBytes(16).toString('base64');
    this.host.httpAdapter.setHeader(response, 'Content-Security-Policy', policyFor(nonce));
    return DASHBOARD.replaceAll('%NONCE%', nonce);
  }

  @Get('api/openapi.json')
  @Public()
  openapi(): object {
    return openApiDocument();
  }
}

const policyFor = (nonce: string): string =>
  [
    `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; img-src data:`,
    `base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
  ].join('; ');
