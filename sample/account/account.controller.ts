import { Controller, Get, Req, UnauthorizedException } from '@nestjs/common';
import { ApiBearerAuth, ApiOkResponse, ApiTags, ApiUnauthorizedResponse } from '@nestjs/swagger';
import { Cacheable } from 'nestjs-keep';
import type { DemoUser } from '../auth/demo-user.ts';
import { Database } from '../database/database.ts';
import { account, type Account } from './account.ts';

@ApiTags('account')
@ApiBearerAuth()
@Controller('me')
export class AccountController {
  constructor(private readonly database: Database) {}

  /** Each user has a response of their own: nobody is ever answered with that of somebody else. */
  @Cacheable({ ttl: '1m', scope: 'user', tags: ['account:{user.id}'] })
  @Get()
  @ApiOkResponse({ standardSchema: account })
  @ApiUnauthorizedResponse()
  async me(@Req() { user }: { user?: DemoUser }): Promise<Account> {
    if (user === undefined) throw new UnauthorizedException('Say who you are: Authorization: Bearer <user id>');
    const posts = await this.database.read((tables) => tables.posts.filter(({ userId }) => userId === user.id).length);
    return { ...user, posts };
  }
}
