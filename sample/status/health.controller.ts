import { Controller, Get } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import { CacheService, type CacheStats } from 'nestjs-keep';

interface Health {
  readonly status: 'ok' | 'degraded';
  readonly mode: CacheStats['mode'];
  readonly degradedSince: string | null;
}

@ApiTags('status')
@Controller('health')
export class HealthController {
  constructor(private readonly cache: CacheService) {}

  /** 200 also while the cache server is away: the application goes on without it. */
  @Get()
  health(): Health {
    const { mode, degradedSince } = this.cache.getLocalStats();
    return {
      status: degradedSince === null ? 'ok' : 'degraded',
      mode,
      degradedSince: degradedSince === null ? null : new Date(degradedSince).toISOString(),
    };
  }
}
