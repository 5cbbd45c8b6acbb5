import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { DEMO_TIERS, type DemoUser } from './demo-user.ts';

interface DemoRequest {
  readonly headers: { readonly authorization?: string };
  user?: DemoUser;
}

/**
 * Believes what `Authorization: Bearer <user id>` says. Your application checks a signature here: limits and locks take
 * the user from `request.user`, so whoever can choose it can spend somebody else's quota.
 */
@Injectable()
export class DemoUserGuard implements CanActivate {
  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<DemoRequest>();
    const [, id] = /^Bearer ([\w-]{1,64})$/.exec(request.headers.authorization ?? '') ?? [];
    if (id !== undefined) request.user = { id, tier: DEMO_TIERS.get(id) ?? 'bronze' };
    return true;
  }
}
