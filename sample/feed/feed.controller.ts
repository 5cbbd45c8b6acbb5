import { Controller, Get, Param, Query } from '@nestjs/common';
import { ApiBadRequestResponse, ApiQuery, ApiTags } from '@nestjs/swagger';
import { FeedService } from './feed.service.ts';
import { type FeedPage, pageNumber, userName } from './feed.ts';

@ApiTags('feed')
@Controller('feed')
export class FeedController {
  constructor(private readonly feed: FeedService) {}

  @Get(':userId')
  @ApiQuery({ name: 'page', required: false, type: Number })
  @ApiBadRequestResponse()
  page(
    @Param('userId', { schema: userName }) userId: string,
    @Query('page', { schema: pageNumber }) page: number,
  ): Promise<FeedPage> {
    return this.feed.page(userId, page);
  }
}
