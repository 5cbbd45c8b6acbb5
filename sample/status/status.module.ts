import { Module } from '@nestjs/common';
import { TerminusModule } from '@nestjs/terminus';
import { HealthController } from './health.controller.ts';
import { StatsController } from './stats.controller.ts';

@Module({ imports: [TerminusModule], controllers: [HealthController, StatsController] })
export class StatusModule {}
