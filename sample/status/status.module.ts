import { Module } from '@nestjs/common';
import { HealthController } from './health.controller.ts';
import { StatsController } from './stats.controller.ts';

@Module({ controllers: [HealthController, StatsController] })
export class StatusModule {}
