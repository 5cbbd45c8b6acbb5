import { Controller, SetMetadata, type Type, UseFilters, UseGuards, VERSION_NEUTRAL } from '@nestjs/common';
import { PATH_METADATA } from '@nestjs/common/constants.js';
import type { ModulesContainer } from '@nestjs/core';
import { BESIDE_THE_APPLICATION } from '../http-cache/response-cache.interceptor.ts';
import type { ResolvedAdminOptions } from './admin.options.ts';
import { AdminGuard } from './http/admin.guard.ts';
import { AuditController } from './http/audit.controller.ts';
import { BreakersController } from './http/breakers.controller.ts';
import { EventsController } from './http/events.controller.ts';
import { InvalidationsController } from './http/invalidations.controller.ts';
import { JobsController } from './http/jobs.controller.ts';
import { KeysController } from './http/keys.controller.ts';
import { LimitsController } from './http/limits.controller.ts';
import { LocksController } from './http/locks.controller.ts';
import { PageController } from './http/page.controller.ts';
import { ProblemFilter } from './http/problem.filter.ts';
import { SeedController } from './http/seed.controller.ts';
import { StatusController } from './http/status.controller.ts';

const CONTROLLERS: readonly Type[] = [
  StatusController,
  KeysController,
  InvalidationsController,
  JobsController,
  LocksController,
  LimitsController,
  BreakersController,
  AuditController,
  EventsController,
  PageController,
];

/** The controllers of one application. */
export interface AdminControllers {
  readonly all: readonly Type[];
  /** The short endpoints lie beside the path of the others. */
  readonly seed: Type;
}

/**
 * Controllers of one's own for each application: where they lie is known only when the options are, and two
 * applications of a process may want them in different places.
 */
export function makeAdminControllers(): AdminControllers {
  const seed = owned(SeedController);
  return { all: [...CONTROLLERS.map(owned), seed], seed };
}

function owned(base: Type): Type {
  const Owned = { [base.name]: class extends base {} }[base.name] as Type;
  Controller({ version: VERSION_NEUTRAL })(Owned);
  UseGuards(AdminGuard)(Owned);
  UseFilters(ProblemFilter)(Owned);
  SetMetadata(BESIDE_THE_APPLICATION, true)(Owned);
  return Owned;
}

/** Before routes are registered: puts the controllers where they are wanted, or takes them out. */
export function placeAdminRoutes(
  { all, seed }: AdminControllers,
  { enabled, path }: ResolvedAdminOptions,
  modules: ModulesContainer,
): void {
  for (const controller of all) {
    Reflect.defineMetadata(PATH_METADATA, controller === seed ? besideOf(path) : path, controller);
    if (enabled) continue;
    for (const { controllers } of modules.values()) controllers.delete(controller);
  }
}

export const besideOf = (path: string): string => path.split('/').slice(0, -1).join('/') || '/';
