import { Delete, Get, HttpCode, Inject, Param, Req } from '@nestjs/common';
import { ADMIN_CONSOLE, type AdminConsole } from '../admin.console.ts';
import { notFound } from '../admin.problem.ts';
import type { Job } from '../jobs.ts';
import { Changes, Watches } from './admin.route.ts';
import { callerOf } from './caller.ts';
import { recorded } from './recorded.ts';

export class JobsController {
  constructor(@Inject(ADMIN_CONSOLE) private readonly console: AdminConsole) {}

  @Get('api/jobs/:id')
  @Watches()
  get(@Param('id') id: string): Job {
    const job = this.console.jobs.get(id);
    if (job === undefined) throw notFound('job on this instance');
    return job;
  }

  @Delete('api/jobs/:id')
  @HttpCode(202)
  @Changes('invalidate')
  cancel(@Param('id') id: string, @Req() request: object): Promise<Job> {
    const act = { action: 'invalidate', target: `cancel job ${id}` } as const;
    return recorded(this.console, callerOf(request), act, async () => {
      const job = this.console.jobs.cancel(id);
      if (job === undefined) throw notFound('job on this instance');
      return job;
    });
  }
}
