// What processes with a route have in common: an application of one controller, on the built package.
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { CacheModule } from 'nestjs-keep';

/** What TypeScript makes of decorators on a method. */
export function decorate({ prototype }, method, ...decorators) {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, method);
  Reflect.decorate(decorators, prototype, method, descriptor);
  Object.defineProperty(prototype, method, descriptor);
}

/** The application listens, with the options of the module that the test has given. */
export async function listenWith(controller) {
  class WorkerModule {}
  Module({
    imports: [CacheModule.forRoot(JSON.parse(process.env.WORKER_OPTIONS))],
    controllers: [controller],
  })(WorkerModule);
  const app = await NestFactory.create(WorkerModule, { logger: ['error'] });
  await app.listen(0, '127.0.0.1');
  return { app, port: () => app.getHttpServer().address().port };
}
