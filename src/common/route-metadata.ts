import { METHOD_METADATA, PATH_METADATA } from '@nestjs/common/constants.js';

/** Whether Nest serves the method over HTTP, so that guards and interceptors run before it is reached. */
export const isRoute = (method: object): boolean =>
  Reflect.hasMetadata(PATH_METADATA, method) && Reflect.hasMetadata(METHOD_METADATA, method);

/**
 * What the decorators of other transports leave on a method, by name: their packages may not be installed. Resolvers,
 * gateways, and the message and event handlers of microservices.
 */
const MESSAGE_METADATA = [
  'graphql:resolver_type',
  'graphql:resolve_property',
  'websockets:message_mapping',
  'microservices:handler_type',
];

/** Whether the method answers messages of another transport. */
export const isMessageHandler = (method: object): boolean =>
  MESSAGE_METADATA.some((key) => Reflect.hasMetadata(key, method));
