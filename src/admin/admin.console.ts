import type { LockService } from '../lock/lock.service.ts';
import type { RateLimitService } from '../rate-limit/rate-limit.service.ts';
import type { AdminPeers } from './admin-peers.ts';
import type { AdminStatus } from './admin-status.ts';
import type { ResolvedAdminOptions } from './admin.options.ts';
import type { AuditTrail } from './audit.ts';
import type { BreakerDesk } from './breaker-desk.ts';
import type { EventFeed } from './event-feed.ts';
import type { Invalidations } from './invalidations.ts';
import type { Jobs } from './jobs.ts';
import type { KeyBrowser } from './key-browser.ts';
import type { LockDesk } from './lock-desk.ts';
import type { Signer } from './signer.ts';

export const ADMIN_CONSOLE = Symbol.for('nestjs-keep:admin-console');

/** Everything an operator can look at and act on; the controllers only translate it to HTTP. */
export interface AdminConsole {
  readonly options: ResolvedAdminOptions;
  readonly signer: Signer;
  readonly audit: AuditTrail;
  readonly peers: AdminPeers;
  readonly status: AdminStatus;
  readonly browser: KeyBrowser;
  readonly invalidations: Invalidations;
  readonly jobs: Jobs;
  readonly breakers: BreakerDesk;
  readonly feed: EventFeed;
  readonly locks: LockService;
  readonly lockDesk: LockDesk;
  readonly limits: RateLimitService;
  /** Counts the requests of operators, in this process. */
  readonly ownLimits: RateLimitService;
}
