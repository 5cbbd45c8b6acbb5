import type { ExecutionContext } from '@nestjs/common';
import type { Duration } from '../common/duration.ts';
import {
  aFunction,
  as,
  duration,
  flag,
  oneOf,
  rule,
  type RulesOf,
  secret,
  size,
  text,
} from '../common/option-rules.ts';

/** Whether a header is sent, for all requests or as a function decides. */
export type HeaderSwitch = 'on' | 'off' | ((context: ExecutionContext) => boolean);
/** Whether the `Cache-Control` of requests counts. */
export type RequestDirectiveMode = 'honor' | 'ignore';

/** The response cache of routes. */
export interface HttpOptions {
  /** How this cache calls itself in `Cache-Status`. @default 'nestjs-keep' */
  readonly cacheName?: string;
  /** Query parameters that no response depends on. @default ['utm_*', 'fbclid', 'gclid', 'msclkid'] */
  readonly ignoreQuery?: readonly string[];
  /** Whether clients may ask for fresh responses with `Cache-Control`. @default 'honor' */
  readonly requestDirectives?: RequestDirectiveMode | ((context: ExecutionContext) => RequestDirectiveMode);
  /** How often clients may have one and the same response made anew: a younger one counts as fresh. @default '1s' */
  readonly reloadFloor?: Duration;
  /** Larger bodies are not stored: a number of bytes, or `'1mb'`. @default '1mb' */
  readonly maxBody?: number | string;
  /** Who asks, for `scope: 'user'` and `@Idempotent`. @default `request.user.id`, else `request.user.sub` */
  readonly principal?: (context: ExecutionContext) => string | number | null | undefined;
  /**
   * Whether `Cache-Status` (`status`) and `X-Cache` (`legacy`) are sent, and whether the first tells the key of the
   * entry: keys hold paths and queries of others, so only for those who operate the application. @default on, on, off
   */
  readonly headers?: { readonly status?: HeaderSwitch; readonly legacy?: HeaderSwitch; readonly key?: HeaderSwitch };
  /** The languages that the application speaks: others make no variant of their own in `Vary: Accept-Language`. */
  readonly languages?: readonly string[];
  /** Response headers that are not replayed from an entry, beside those that never are. */
  readonly dropHeaders?: readonly string[];
  /** Whether a POST, PUT, PATCH or DELETE that succeeds invalidates the responses of its path. @default true */
  readonly invalidateOnUnsafe?: boolean;
  /** How long a request waits for the server before its handler runs instead. @default '50ms' */
  readonly lookupBudget?: Duration;
  /** Keeps users from being guessed from the keys of their entries; the same in all processes. */
  readonly secret?: string;
}

/** `HttpOptions` with every default filled in; durations in milliseconds, sizes in bytes. */
export interface ResolvedHttpOptions {
  readonly cacheName: string;
  readonly ignoreQuery: readonly string[];
  readonly requestDirectives: NonNullable<HttpOptions['requestDirectives']>;
  readonly reloadFloorMs: number;
  readonly maxBodyBytes: number;
  readonly principal: HttpOptions['principal'];
  readonly headers: { readonly status: HeaderSwitch; readonly legacy: HeaderSwitch; readonly key: HeaderSwitch };
  readonly languages: readonly string[] | undefined;
  readonly dropHeaders: readonly string[];
  readonly invalidateOnUnsafe: boolean;
  readonly lookupBudgetMs: number;
  readonly secret: string;
}

export const HTTP_DEFAULTS: ResolvedHttpOptions = {
  cacheName: 'nestjs-keep',
  ignoreQuery: ['utm_*', 'fbclid', 'gclid', 'msclkid'],
  requestDirectives: 'honor',
  reloadFloorMs: 1_000,
  maxBodyBytes: 1024 ** 2,
  principal: undefined,
  headers: { status: 'on', legacy: 'on', key: 'off' },
  languages: undefined,
  dropHeaders: [],
  invalidateOnUnsafe: true,
  lookupBudgetMs: 50,
  secret: 'nestjs-keep',
};

type AnyFunction = (...call: never) => unknown;
const functionOr = <const T extends string>(...choices: readonly T[]) => {
  const choice = oneOf(...choices);
  return rule(`${choice.allowed}, or a function`, (value) =>
    typeof value === 'function' ? (value as AnyFunction) : choice.read(value),
  );
};
const list = (what: string, form: RegExp) =>
  rule(`a list of ${what}`, (value): readonly string[] | undefined =>
    Array.isArray(value) && value.every((one) => typeof one === 'string' && form.test(one))
      ? (value as string[])
      : undefined,
  );

export const HTTP_RULES = {
  cacheName: text('1 to 64 visible ASCII characters', /^[\x20-\x7e]{1,64}$/),
  ignoreQuery: list('parameter names', /./),
  requestDirectives: functionOr('honor', 'ignore'),
  reloadFloor: as('reloadFloorMs', duration('0ms', '1h')),
  maxBody: as('maxBodyBytes', size('0b', '512mb')),
  principal: aFunction<AnyFunction>(),
  headers: { status: functionOr('on', 'off'), legacy: functionOr('on', 'off'), key: functionOr('on', 'off') },
  languages: list('language tags', /^[a-z]{1,8}(?:-[a-z\d]{1,8})*$/i),
  dropHeaders: list('header names', /^[!#$%&'*+\-.^_`|~\w]+$/),
  invalidateOnUnsafe: flag,
  lookupBudget: as('lookupBudgetMs', duration('1ms', '10s')),
  secret: secret(text('at least 16 characters', /^.{16,}$/s)),
} satisfies RulesOf<HttpOptions>;
