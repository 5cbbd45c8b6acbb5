import { AsyncLocalStorage } from 'node:async_hooks';

const PARTS = ['params', 'query', 'body', 'user', 'ip'] as const;

/** What templates read of a request; both platforms offer it under the same names. */
export type RequestData = Readonly<Partial<Record<(typeof PARTS)[number], unknown>>>;

export const isRequestPart = (name: string): name is keyof RequestData => (PARTS as readonly string[]).includes(name);

/** What the client may have left out; the rest is up to the application. */
export const isClientInput = (part: string): boolean => part === 'params' || part === 'query' || part === 'body';

/** The request whose route handler runs, for the decorators that do their work around the method. */
export const currentRequest = new AsyncLocalStorage<RequestData>();
