import { randomUUID } from 'node:crypto';
import { isStoreFailure } from '../common/errors.ts';
import type { MessageBus } from '../message-bus/message-bus.interface.ts';
import { isCluster } from '../redis/redis.client.ts';
import type { RedisConnection } from '../redis/redis.connection.ts';

/** What one instance asks the others to do, or tells them. */
export interface PeerMessage {
  readonly kind: string;
  readonly [field: string]: unknown;
}

interface Envelope {
  readonly id: string;
  readonly from: string;
  readonly ack?: true;
  readonly answer?: unknown;
  readonly message?: PeerMessage;
}

/** What it answers, if that is anything, goes to who has asked. */
export type PeerListener = (message: PeerMessage) => unknown;

/** By instance, of those that have heard; anybody could have sent it. */
export type PeerAnswers = ReadonlyMap<string, unknown>;

/** How long answers of other instances are waited for. */
const PATIENCE_MS = 400;
const MAX_BYTES = 64 * 1024;

/** The other instances of the application. What they are asked travels behind what they were told before. */
export class AdminPeers {
  readonly #listeners = new Set<PeerListener>();
  readonly #waiting = new Map<string, (instance: string, answer: unknown) => void>();
  #end: () => Promise<void> = () => Promise.resolve();

  /** @param instance names this one */
  constructor(
    readonly instance: string,
    private readonly bus: MessageBus,
    private readonly channel: string,
    private readonly connection: RedisConnection | undefined,
  ) {}

  async start(): Promise<void> {
    this.#end = await this.bus.subscribe(this.channel, (payload) => this.#heed(payload));
  }

  async stop(): Promise<void> {
    await this.#end();
  }

  onMessage(listener: PeerListener): void {
    this.#listeners.add(listener);
  }

  /**
   * Tells all instances, this one included, and answers with those that have heard; `isComplete` says whether that is
   * every one that listens.
   */
  async tell(message: PeerMessage): Promise<{ instances: string[]; isComplete: boolean }> {
    const { answers, isComplete } = await this.ask(message);
    return { instances: [...answers.keys()].sort(), isComplete };
  }

  /** Asks all instances, this one included. */
  async ask(message: PeerMessage): Promise<{ answers: PeerAnswers; isComplete: boolean }> {
    const id = randomUUID();
    const answers = new Map<string, unknown>();
    let expected = Infinity;
    const heard = new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, PATIENCE_MS);
      this.#waiting.set(id, (instance, answer) => {
        answers.set(instance, answer);
        if (answers.size < expected) return;
        clearTimeout(timer);
        resolve();
      });
    });
    try {
      await this.#send({ id, from: this.instance, message });
      expected = await this.#listening();
      if (answers.size < expected) await heard;
      return { answers, isComplete: answers.size >= expected };
    } catch (error) {
      if (!isStoreFailure(error)) throw error;
      return { answers: new Map([[this.instance, this.#tellHere(message)]]), isComplete: false };
    } finally {
      this.#waiting.delete(id);
    }
  }

  async #send(envelope: Envelope): Promise<void> {
    await this.bus.publish(this.channel, JSON.stringify(envelope));
  }

  /** How many instances listen; those of a cluster are spread over its nodes. */
  async #listening(): Promise<number> {
    const { connection } = this;
    if (connection === undefined) return 1;
    const count = async (): Promise<number> => {
      const { client } = connection;
      const nodes = isCluster(client) ? client.nodes('all') : [client];
      const ask = nodes.map((node) =>
        connection.execute('peers.count', () => node.call('PUBSUB', 'NUMSUB', this.channel) as Promise<unknown[]>),
      );
      return (await Promise.all(ask)).reduce((sum: number, [, listeners]) => sum + Number(listeners), 0);
    };
    // A server that does not tell leaves us with waiting for as long as we would wait anyway.
    return count().catch(() => Infinity);
  }

  #heed(payload: Buffer): void {
    const envelope = payload.length > MAX_BYTES ? undefined : read(payload);
    if (envelope === undefined) return;
    if (envelope.ack === true) {
      this.#waiting.get(envelope.id)?.(envelope.from, envelope.answer);
    } else if (envelope.message !== undefined) {
      const answer = this.#tellHere(envelope.message);
      this.#send({ id: envelope.id, from: this.instance, ack: true, answer }).catch(() => undefined);
    }
  }

  #tellHere(message: PeerMessage): unknown {
    const answers = [...this.#listeners].map((listener) => listener(message));
    return answers.find((answer) => answer !== undefined);
  }
}

/** Anybody can publish on a channel. */
function read(payload: Buffer): Envelope | undefined {
  try {
    const { id, from, ack, answer, message } = JSON.parse(payload.toString()) as Partial<Envelope>;
    if (typeof id !== 'string' || typeof from !== 'string' || from.length > 200) return undefined;
    const isMessage = typeof (message as Partial<PeerMessage> | null | undefined)?.kind === 'string';
    return { id, from, ...(ack === true && { ack, answer }), ...(isMessage && message && { message }) };
  } catch {
    return undefined;
  }
}
