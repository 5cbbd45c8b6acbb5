import { Body, Controller, Post } from '@nestjs/common';
import {
  ApiBadRequestResponse,
  ApiBearerAuth,
  ApiCreatedResponse,
  ApiTags,
  ApiTooManyRequestsResponse,
} from '@nestjs/swagger';
import { RateLimit } from 'nestjs-keep';
import { Database } from '../database/database.ts';
import { upload, type Upload, uploadInput, type UploadInput } from './upload.ts';

@ApiTags('uploads')
@ApiBearerAuth()
@Controller('uploads')
export class UploadsController {
  constructor(private readonly database: Database) {}

  /** As many a day and a week as the caller's tier allows. The answers say in `RateLimit` how many are left. */
  @Post()
  @RateLimit('uploads')
  @ApiCreatedResponse({ standardSchema: upload })
  @ApiBadRequestResponse()
  @ApiTooManyRequestsResponse()
  add(@Body({ schema: uploadInput }) { name }: UploadInput): Promise<Upload> {
    return this.database.write(({ uploads }) => {
      const added = { id: uploads.length + 1, name };
      uploads.push(added);
      return added;
    });
  }
}
