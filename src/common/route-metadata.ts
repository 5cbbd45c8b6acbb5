import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';

/** Whether Nest serves the method over HTTP, so that guards and interceptors run before it is reached. */
export const isRoute = (method: object): boolean =>
  Reflect.hasMetadata(PATH_METADATA, method) && Reflect.hasMetadata(METHOD_METADATA, method);
