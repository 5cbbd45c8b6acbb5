import { randomBytes } from 'node:crypto';
import { Get, Header, Inject, Req, Res, type Type } from '@nestjs/common';
import { PATH_METADATA } from '@nestjs/common/constants.js';
import { HttpAdapterHost } from '@nestjs/core';
import { notFound } from '../admin.problem.ts';
import { DASHBOARD } from '../dashboard/dashboard.html.ts';
import { openApiDocument } from '../openapi.ts';
import { Public } from './admin.route.ts';
import type { AdminRequest } from './caller.ts';

/** The page, and the description of the API: they hold no data. A class of its own for each application. */
export function makePageController(): Type {
  class PageController {
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

    /** See `findPageBehindSlash`. */
    @Get(':page')
    @Public()
    @Header('Content-Type', 'text/html; charset=utf-8')
    pageBehindSlash(@Req() { url }: AdminRequest, @Res({ passthrough: true }) response: unknown): string {
      if (!/\/(\?|$)/.test(url)) throw notFound('page');
      return this.page(response);
    }
  }
  return PageController;
}

/** Fastify tells a path with a slash at its end from one without, and only a wildcard reaches both. */
export function findPageBehindSlash(controller: Type, { httpAdapter }: Partial<HttpAdapterHost>): void {
  if (httpAdapter?.getType() !== 'fastify') return;
  const { pageBehindSlash } = controller.prototype as { pageBehindSlash: object };
  Reflect.defineMetadata(PATH_METADATA, '*', pageBehindSlash);
}

const policyFor = (nonce: string): string =>
  [
    `default-src 'none'; script-src 'nonce-${nonce}'; style-src 'nonce-${nonce}'; connect-src 'self'; img-src data:`,
    `base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
  ].join('; ');
