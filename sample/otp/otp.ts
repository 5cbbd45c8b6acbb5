import type { RateLimitPolicy } from 'nestjs-keep';
import { z } from 'zod';

const PHONE = /^\+[1-9]\d{6,14}$/;

export const otpRequest = z.strictObject({ phone: z.string().regex(PHONE, 'must be like +4915123456789') });
export type OtpRequest = z.infer<typeof otpRequest>;

/**
 * Who asks for codes again and again is blocked for longer and longer. Without the server nothing is sent: a code that
 * nobody counts can be guessed.
 */
export const otpPolicies: readonly RateLimitPolicy[] = [
  {
    ...{ name: 'otp-phone', limit: 3, window: '10m', onOutage: 'reject' },
    by: ({ body }) => body['phone'],
    escalate: { after: 3, within: '1h', block: '1h' },
  },
  { name: 'otp-ip', limit: 10, window: '10m', by: 'ip', onOutage: 'reject' },
];
