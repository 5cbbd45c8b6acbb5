import { Controller, Get } from '@nestjs/common';
import { ApiTags } from '@nestjs/swagger';
import {
  type CacheMetrics,
  CacheService,
  type CacheStats,
  CircuitBreakerService,
  type CircuitBreakerStats,
} from 'nestjs-keep';
import { Database } from '../database/database.ts';

interface Stats {
  readonly stats: CacheStats;
  readonly metrics: CacheMetrics;
  /** How often the database was asked: what the cache is there to keep low. */
  readonly databaseQueries: number;
}

@ApiTags('status')
@Controller('stats')
export class StatsController {
  constructor(
    private readonly cache: CacheService,
    private readonly circuits: CircuitBreakerService,
    private readonly database: Database,
  ) {}

  @Get('cache')
  async cacheStats(): Promise<Stats> {
    return {
      stats: await this.cache.getStats(),
      metrics: this.cache.getMetrics(),
      databaseQueries: this.database.queries,
    };
  }

  /** By name, with the circuit in front of the cache server where there is one. */
  @Get('circuit-breakers')
  circuitStats(): Record<string, CircuitBreakerStats> {
    return this.circuits.getStats();
  }
}
