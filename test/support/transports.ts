import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import {
  Controller,
  Get,
  type INestApplication,
  type INestApplicationContext,
  Injectable,
  Logger,
  type ModuleMetadata,
  Query as QueryParameter,
  type Type,
} from '@nestjs/common';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { Args, GraphQLModule, Query, Resolver } from '@nestjs/graphql';
import { MercuriusDriver, type MercuriusDriverConfig } from '@nestjs/mercurius';
import {
  ClientProxyFactory,
  MessagePattern,
  type MicroserviceOptions,
  Payload,
  Transport,
} from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { Cron, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { Test } from '@nestjs/testing';
import { firstValueFrom } from 'rxjs';
import request from 'supertest';
import { WebSocket } from 'ws';
import { CacheModule, type CacheModuleOptions } from '../../src/index.ts';
import { freePorts, HOST } from './free-ports.ts';
import { openHttpApp, type Platform } from './http-app.ts';

/** Where a decorator stands among those that make its method reachable. */
export type Position = 'above' | 'between' | 'below';
export const POSITIONS: readonly Position[] = ['above', 'between', 'below'];

/** What a caller gets; a schedule and an event have nobody to answer to. */
export type Answer = { readonly value: unknown } | { readonly error: string; readonly status?: number } | undefined;

/** An application whose methods are called from outside, as its clients would. */
export interface Reached {
  readonly app: INestApplicationContext;
  call(method: string, argument: string): Promise<Answer>;
  close(): Promise<void>;
}

/** A way to call a method of one argument by its name. */
export interface TransportCase {
  readonly name: string;
  /** Whether guards run and callers are answered. */
  readonly hasCallers: boolean;
  readonly onClass: ClassDecorator;
  readonly onMethod: (method: string) => MethodDecorator;
  readonly onArgument?: ParameterDecorator;
  open(subject: Type, metadata: OpenOptions): Promise<Reached>;
}

export interface OpenOptions extends ModuleMetadata {
  readonly cache?: CacheModuleOptions;
}

type Decorated = Readonly<Record<string, MethodDecorator>>;

/**
 * Opens an application in which the transport reaches the class, each method decorated as `tested` says.
 * @param subject made anew for each application: decorators change a class
 */
export async function openOn(
  transport: TransportCase,
  subject: Type,
  { tested, beside = [], position, ...options }: OpenOptions & DecoratedAs,
): Promise<Reached> {
  for (const [method, decorator] of Object.entries(tested)) {
    const others = [transport.onMethod(method), ...(transport.hasCallers ? beside : [])];
    const at = { above: 0, between: 1, below: others.length }[position];
    decorate(subject, method, others.toSpliced(at, 0, decorator));
    transport.onArgument?.(subject.prototype as object, method, 0);
  }
  transport.onClass(subject);
  return transport.open(subject, options);
}

interface DecoratedAs {
  readonly tested: Decorated;
  /** What else stands on each method: guards, descriptions. */
  readonly beside?: readonly MethodDecorator[];
  readonly position: Position;
}

/** What the decorator syntax does; the first stands on top. */
function decorate({ prototype }: Type, method: string, decorators: MethodDecorator[]): void {
  const descriptor = Object.getOwnPropertyDescriptor(prototype, method)!;
  Reflect.defineMetadata('design:paramtypes', [String], prototype as object, method);
  Reflect.decorate(decorators, prototype as object, method, descriptor);
  Object.defineProperty(prototype, method, descriptor);
}

const http = (platform: Platform): TransportCase => ({
  name: `a route on ${platform}`,
  hasCallers: true,
  onClass: Controller('subject'),
  onMethod: (method) => Get(method),
  onArgument: QueryParameter('argument'),
  async open(subject, options) {
    const app = await openHttpApp({ platform, controllers: [subject], ...options });
    return {
      app,
      async call(method, argument) {
        const { status, text } = await request(app.getHttpServer()).get(`/subject/${method}`).query({ argument });
        return status === 200 ? { value: text } : { error: text, status };
      },
      close: () => app.close(),
    };
  },
});

const graphql: TransportCase = {
  name: 'a GraphQL resolver',
  hasCallers: true,
  onClass: Resolver(),
  onMethod: (method) => Query(() => String, { name: method }),
  onArgument: Args('argument', { type: () => String }),
  async open(subject, { imports = [], providers = [], ...options }) {
    const api = GraphQLModule.forRoot<MercuriusDriverConfig>({ driver: MercuriusDriver, autoSchemaFile: true });
    const platform = 'fastify';
    const app = await openHttpApp({
      platform,
      ...options,
      imports: [api, ...imports],
      providers: [subject, ...providers],
    });
    return {
      app,
      async call(method, argument) {
        const query = `query ($argument: String!) { ${method}(argument: $argument) }`;
        const response = await request(app.getHttpServer()).post('/graphql').send({ query, variables: { argument } });
        const { data, errors: [error] = [] } = response.body as GraphqlBody;
        return error === undefined ? { value: data?.[method] } : { error: error.message, status: response.status };
      },
      close: () => app.close(),
    };
  },
};

interface GraphqlBody {
  readonly data?: Readonly<Record<string, unknown>>;
  readonly errors?: readonly { readonly message: string }[];
}

/**
 * Nest 11 gives errors for native clients to the socket as an event that stays in the process: an application that wants
 * them told sends it. Nest 12 sends them itself, and there is no event.
 */
class TellingWsAdapter extends WsAdapter {
  override bindClientConnect(server: unknown, callback: (...args: unknown[]) => void): void {
    super.bindClientConnect(server, (...args: unknown[]) => {
      const [socket] = args as [WebSocket];
      socket.on('exception', (data: unknown) => socket.send(JSON.stringify({ event: 'exception', data })));
      callback(...args);
    });
  }
}

/** A busy machine keeps it. */
const ANSWER_MS = 15_000;

const gateway: TransportCase = {
  name: 'a WebSocket gateway',
  hasCallers: true,
  onClass: WebSocketGateway(),
  onMethod: (method) => SubscribeMessage(method),
  onArgument: MessageBody('argument'),
  async open(subject, { providers = [], ...options }) {
    const configure = (opening: INestApplication) => void opening.useWebSocketAdapter(new TellingWsAdapter(opening));
    const app = await openHttpApp({ platform: 'express', ...options, providers: [subject, ...providers], configure });
    await app.listen(0, HOST);
    const { port } = (app.getHttpServer() as unknown as { address(): AddressInfo }).address();
    return {
      app,
      async call(method, argument) {
        const client = new WebSocket(`ws://${HOST}:${port}`);
        await once(client, 'open');
        client.send(JSON.stringify({ event: method, data: { argument } }));
        const [text] = (await once(client, 'message', { signal: AbortSignal.timeout(ANSWER_MS) })) as unknown[];
        client.terminate();
        const answer = JSON.parse(String(text)) as unknown;
        const { event, data: error } = Object(answer) as { event?: string; data?: unknown };
        return event === 'exception' ? { error: JSON.stringify(error) } : { value: answer };
      },
      close: () => app.close(),
    };
  },
};

const microservice: TransportCase = {
  name: 'a TCP microservice',
  hasCallers: true,
  onClass: Controller(),
  onMethod: (method) => MessagePattern(method),
  onArgument: Payload('argument'),
  async open(subject, options) {
    const [port = 0] = await freePorts(1);
    const transport = { transport: Transport.TCP, options: { host: HOST, port } } as const;
    const configure = async (opening: INestApplication) => {
      opening.connectMicroservice<MicroserviceOptions>(transport, { inheritAppConfig: true });
      await opening.startAllMicroservices();
    };
    const app = await openHttpApp({ platform: 'express', controllers: [subject], ...options, configure });
    const client = ClientProxyFactory.create(transport);
    return {
      app,
      call: (method, argument) =>
        firstValueFrom(client.send<unknown>(method, { argument })).then(
          (value) => ({ value }),
          (error: unknown) => ({ error: JSON.stringify(error) }),
        ),
      async close() {
        await client.close();
        await app.close();
      },
    };
  },
};

const schedule: TransportCase = {
  name: 'a schedule',
  hasCallers: false,
  onClass: Injectable(),
  onMethod: (method) => Cron('0 0 1 1 *', { name: method, waitForCompletion: true }),
  async open(subject, { imports = [], providers = [], ...options }) {
    const app = await moduleWith({
      ...options,
      imports: [ScheduleModule.forRoot(), ...imports],
      providers: [subject, ...providers],
    });
    await app.init();
    return {
      app,
      async call(method) {
        await app.get(SchedulerRegistry).getCronJob(method).fireOnTick();
        return undefined;
      },
      close: () => app.close(),
    };
  },
};

const event: TransportCase = {
  name: 'an event',
  hasCallers: false,
  onClass: Injectable(),
  onMethod: (method) => OnEvent(method),
  async open(subject, { imports = [], providers = [], ...options }) {
    const app = await moduleWith({
      ...options,
      imports: [EventEmitterModule.forRoot(), ...imports],
      providers: [subject, ...providers],
    });
    await app.init();
    return {
      app,
      async call(method, argument) {
        await app.get(EventEmitter2).emitAsync(method, argument);
        return undefined;
      },
      close: () => app.close(),
    };
  },
};

const moduleWith = ({ cache, imports = [], ...metadata }: OpenOptions) =>
  Test.createTestingModule({ imports: [CacheModule.forRoot(cache), ...imports], ...metadata }).compile();

/** Every way to a method that the documentation names. */
export const TRANSPORTS: readonly TransportCase[] = [
  http('express'),
  http('fastify'),
  graphql,
  gateway,
  microservice,
  schedule,
  event,
];

/** What was expected to fail fails in the log, too. */
export function silenceErrors(): void {
  beforeEach(() => jest.spyOn(Logger.prototype, 'error').mockReturnValue());
  afterEach(() => jest.restoreAllMocks());
}
