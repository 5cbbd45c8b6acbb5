import { isRoute } from './route-metadata.ts';

/** What the packages of Nest for gateways, messages and GraphQL leave on the methods that they call. */
const HANDLER_METADATA = [
  'websockets:message_mapping',
  'microservices:pattern',
  'graphql:resolver_type',
  'graphql:resolve_property',
];

/** Whether Nest calls the method for somebody outside, behind guards and interceptors. */
export const isHandler = (method: object): boolean =>
  isRoute(method) || HANDLER_METADATA.some((key) => Reflect.hasMetadata(key, method));
