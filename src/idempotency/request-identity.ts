import { createHash, createHmac } from 'node:crypto';
import type { ExecutionContext } from '@nestjs/common';
import { VERSION_METADATA } from '@nestjs/common/constants.js';
import { addressOf, type Caller, callerName, callerOf, userIdOf } from '../common/caller.ts';
import { canonicalJson } from '../common/canonical-json.ts';
import { networkOf } from '../common/ip-address.ts';
import type { Exchange } from '../http-cache/exchange.ts';
import { headerOf } from '../http-cache/http-headers.ts';
import { hostOf, pathOf, queryOf } from '../http-cache/request-key.ts';
import type { IdempotentOptions } from './idempotent.options.ts';

type Principal = IdempotentOptions['principal'];

/** One subscriber has a whole IPv6 network and may use any address of it. */
const IPV6_PREFIX = 64;

/**
 * Names one request of one principal to one route: equal for its retries, and for nobody else. Nothing of it is readable.
 * The path is the one that was asked for, so that one key on two orders is two requests.
 */
export function requestIdentityOf(exchange: Exchange, key: string, principal: Principal, secret: string): string {
  const { context, request, url } = exchange;
  const parts = [
    principalOf(context, principal),
    request.method,
    hostOf(request.hostname ?? '') ?? '',
    pathOf(url) ?? url.split('?', 1)[0],
    versionOf(context),
    key,
  ];
  return createHmac('sha256', secret).update(JSON.stringify(parts)).digest('base64url');
}

/**
 * What the request says, as SHA-256 of its body and its query, so that order and spelling do not matter.
 * @throws SerializationError for a body that cannot be compared with another
 */
export function fingerprintOf(exchange: Exchange, own: IdempotentOptions['fingerprint']): string {
  const { context, request, url } = exchange;
  const said = own === undefined ? [bodyOf(request), queryOf(url, { ignore: [] })] : own(context);
  return createHash('sha256').update(canonicalJson(said)).digest('base64url');
}

/** Of a body that nobody has read yet (an upload) at least its length is known. */
const bodyOf = ({ body, headers }: Exchange['request']): unknown => body ?? { unread: headers['content-length'] };

/**
 * Who asks. Whoever shows credentials that no guard has made a user of is known by them; the others by where they are:
 * rather two runs for one client that has moved than one client's answer for another.
 */
function principalOf(context: ExecutionContext, named: Principal): readonly [kind: string, name: string] {
  const name = callerName(named?.(context));
  if (name !== undefined) return ['principal', name];
  const caller = callerOf(context);
  const user = userIdOf(caller);
  if (user !== undefined) return ['user', user];
  const credentials = credentialsOf(caller);
  if (credentials !== undefined) return ['credentials', credentials];
  const address = addressOf(caller);
  return address === undefined ? ['anybody', ''] : ['address', networkOf(address, IPV6_PREFIX)];
}

function credentialsOf({ request: { headers } }: Caller): string | undefined {
  const { authorization, cookie } = headers;
  if (authorization === undefined && cookie === undefined) return undefined;
  return JSON.stringify([headerOf(headers, 'authorization'), headerOf(headers, 'cookie')]);
}

/** Routes of one path may differ in their version alone. */
const versionOf = (context: ExecutionContext): string =>
  String(
    Reflect.getMetadata(VERSION_METADATA, context.getHandler()) ??
      Reflect.getMetadata(VERSION_METADATA, context.getClass()) ??
      '',
  );
