import { InvalidTtlError } from './errors.ts';

/** A length of time with its unit: `'250ms'`, `'30s'`, `'5m'`, `'2h'`, `'1d'`. */
export type Duration = `${number}${DurationUnit}`;
type DurationUnit = 'ms' | 's' | 'm' | 'h' | 'd';

const MS_PER: Readonly<Record<DurationUnit, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const FORM = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/;

/** The longest time anything may be kept: 2³¹ seconds, about 68 years. */
export const MAX_DURATION_MS = 2 ** 31 * 1_000;

/** Milliseconds of a `Duration` string, or undefined when it is not one. Less than 1 ms rounds up. */
export function parseDuration(text: string): number | undefined {
  // What callers without types hand over may still read as a text: ['5s'].
  if (typeof text !== 'string') return undefined;
  const [, amount, unit] = FORM.exec(text) ?? [];
  if (amount === undefined) return undefined;
  const ms = Math.ceil(Number(amount) * MS_PER[unit as DurationUnit]);
  return ms <= MAX_DURATION_MS ? ms : undefined;
}

/**
 * Milliseconds of a duration that may also be a bare number, in the unit the parameter's name says.
 * @throws InvalidTtlError for what is negative, not finite, over 2³¹ s, or not a duration; 0 is allowed
 */
export function toMs(value: number | Duration, numberUnit: 's' | 'ms', name = 'ttl'): number {
  const ms = typeof value === 'number' ? numberToMs(value, numberUnit) : parseDuration(value);
  if (ms !== undefined) return ms;
  const unit = numberUnit === 's' ? 'seconds' : 'milliseconds';
  throw new InvalidTtlError(
    `${name} must be ${unit} from 0 to 2^31 s, or a duration such as '30s' or '5m'; received ${describe(value)}`,
  );
}

function numberToMs(value: number, unit: 's' | 'ms'): number | undefined {
  const ms = Math.ceil(value * MS_PER[unit]);
  return value >= 0 && ms <= MAX_DURATION_MS ? ms : undefined;
}

const describe = (value: unknown): string => (typeof value === 'string' ? `'${value.slice(0, 40)}'` : String(value));
