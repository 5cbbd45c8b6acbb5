import { randomBytes } from 'node:crypto';

const madeUp = randomBytes(12).toString('base64url');
const given = (): string | undefined => process.env['CACHE_ADMIN_TOKEN'];

/** Of the admin API: the one from the environment, or one made up for this run. */
export const adminToken = (): string => given() ?? madeUp;

/** Where to open the dashboard. A token that was given is not printed: the page asks for it. */
export const adminPath = (): string => (given() === undefined ? `/cache/admin/#t=${madeUp}` : '/cache/admin/');
