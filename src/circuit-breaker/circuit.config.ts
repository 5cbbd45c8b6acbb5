import type { Duration } from '../common/duration.ts';
import { InvalidOptionsError } from '../common/errors.ts';
import {
  aFunction,
  as,
  durationOrMs,
  flag,
  integer,
  number,
  rule,
  text,
  type RulesOf,
} from '../common/option-rules.ts';
import { readOptions, received } from '../common/read-options.ts';
import { quoted } from './circuit-breaker.errors.ts';
import type { ResolvedCircuitBreakerModuleOptions } from './circuit-breaker.options.ts';

/** Whether an error does not count: true for failures that say nothing about the health of what was called. */
export type ErrorFilter = (error: unknown) => boolean;

/** How a circuit judges the calls that go through it. What is left out comes from the module's options. */
export interface CircuitBreakerConfig {
  /** From a fixed set: a circuit lives as long as the application. 1 to 128 characters. */
  readonly name: string;
  /**
   * How long an operation may take before it counts as failed; a bare number is in milliseconds. `false`: as long as
   * it wants, for operations that always settle by themselves. @default '3s'
   */
  readonly timeout?: Duration | number | false;
  /** The circuit opens when more than this share of the calls failed; 100: never. 0 to 100. @default 50 */
  readonly errorThresholdPercentage?: number;
  /** How long it stays open before trial calls; a bare number is in milliseconds. @default '30s' */
  readonly resetTimeout?: Duration | number;
  /** Calls in the window that it takes to open it. 0 to 1000000. @default 5 */
  readonly volumeThreshold?: number;
  /** How far back calls count; a bare number is in milliseconds. @default '10s' */
  readonly window?: Duration | number;
  /** Calls under way at a time; more are refused, which is not a failure. @default unlimited */
  readonly capacity?: number;
  /** Trial calls while half-open. 1 to 100. @default 1 */
  readonly halfOpenMaxCalls?: number;
  /** Errors that do not count, besides an `HttpException` below 500, which never does. */
  readonly errorFilter?: ErrorFilter;
  /** Changes of its state are not logged, because somebody else tells what they mean. @default false */
  readonly isQuiet?: boolean;
}

export interface ResolvedCircuitConfig {
  readonly name: string;
  /** `null`: no deadline. */
  readonly timeoutMs: number | null;
  readonly errorThresholdPercentage: number;
  readonly resetTimeoutMs: number;
  readonly volumeThreshold: number;
  readonly windowMs: number;
  readonly capacity: number;
  readonly halfOpenMaxCalls: number;
  readonly isQuiet: boolean;
  readonly errorFilter?: ErrorFilter;
}

export type GivenCircuitConfig = Partial<ResolvedCircuitConfig>;

const CIRCUIT_DEFAULTS = {
  volumeThreshold: 5,
  windowMs: 10_000,
  capacity: Infinity,
  halfOpenMaxCalls: 1,
  isQuiet: false,
};

const someTime = durationOrMs('1ms', '10m');

const CONFIG_RULES = {
  name: text('a text of 1 to 128 characters', /^[^]{1,128}$/),
  timeout: as(
    'timeoutMs',
    rule(`${someTime.allowed}, or false`, (value) => (value === false ? null : someTime.read(value))),
  ),
  errorThresholdPercentage: number(0, 100),
  resetTimeout: as('resetTimeoutMs', durationOrMs('1ms', '1d')),
  volumeThreshold: integer(0, 1_000_000),
  window: as('windowMs', durationOrMs('10ms', '10m')),
  capacity: integer(1, 1_000_000),
  halfOpenMaxCalls: integer(1, 100),
  errorFilter: aFunction<ErrorFilter>(),
  isQuiet: flag,
} satisfies RulesOf<CircuitBreakerConfig>;

/** @throws InvalidOptionsError naming everything that is wrong */
export function readCircuitConfig(
  config: CircuitBreakerConfig,
  subject = 'This circuit breaker cannot be made',
): GivenCircuitConfig & { readonly name: string } {
  const faults: string[] = [];
  const { name, ...given } = readOptions(config, CONFIG_RULES, faults);
  if (name === undefined || faults.length > 0) {
    throw new InvalidOptionsError(subject, faults.length > 0 ? faults : ['name: missing']);
  }
  return { name, ...given };
}

/** @throws InvalidOptionsError: callers without types may hand over anything, and would hear of it in the first outage */
export function checkFunction(value: unknown, what: string): void {
  if (typeof value === 'function') return;
  throw new InvalidOptionsError('This circuit breaker cannot be used', [
    `${what}: must be a function; received ${received(value)}`,
  ]);
}

export function withModuleDefaults(
  given: GivenCircuitConfig & { readonly name: string },
  { timeoutMs, errorThresholdPercentage, resetTimeoutMs }: ResolvedCircuitBreakerModuleOptions,
): ResolvedCircuitConfig {
  return { ...CIRCUIT_DEFAULTS, timeoutMs, errorThresholdPercentage, resetTimeoutMs, ...given };
}

/**
 * Two places that use one name must mean the same circuit. Filters are left out: each call is judged by its own.
 * @throws InvalidOptionsError for what differs from the configuration the circuit was made with
 */
export function checkAgreement(given: GivenCircuitConfig, { name, ...made }: ResolvedCircuitConfig): void {
  const faults = (Object.keys(made) as (keyof typeof made)[])
    .filter((option) => option !== 'errorFilter' && given[option] !== undefined && given[option] !== made[option])
    .map((option) => contradiction(option, made[option] as ConfigValue, given[option] as ConfigValue));
  if (faults.length > 0) throw new InvalidOptionsError(`The circuit ${quoted(name)} is configured twice`, faults);
}

type ConfigValue = number | boolean | null;

function contradiction(option: string, made: ConfigValue, here: ConfigValue): string {
  const unit = option.endsWith('Ms') ? ' ms' : '';
  const shown = (value: ConfigValue) => (value === null ? 'false' : `${String(value)}${unit}`);
  return `${option.replace(/Ms$/, '')}: is ${shown(made)} where the circuit was made, ${shown(here)} here`;
}

/** The configuration with its public names; durations in milliseconds. */
export function describeConfig(config: ResolvedCircuitConfig): CircuitBreakerConfig {
  const { name, errorThresholdPercentage, volumeThreshold, halfOpenMaxCalls, capacity } = config;
  return {
    ...{ name, errorThresholdPercentage, volumeThreshold, halfOpenMaxCalls },
    timeout: config.timeoutMs ?? false,
    resetTimeout: config.resetTimeoutMs,
    window: config.windowMs,
    ...(capacity !== Infinity && { capacity }),
  };
}
