import type { ListenerFailure, MessageBus } from '../../src/message-bus/message-bus.interface.ts';
import { eventually } from '../support/eventually.ts';

export interface MessageBusSubject {
  /** A bus of its own; all buses of one test reach each other if `isShared` says so. */
  readonly create: (onFailure?: ListenerFailure) => MessageBus | Promise<MessageBus>;
  /** Whether two buses carry messages to each other, as those of two processes do. */
  readonly isShared: boolean;
}

/** What every message bus promises. Each test uses channels of its own and closes the buses it opened. */
export function describeMessageBusContract(name: string, { create, isShared }: MessageBusSubject): void {
  describe(`${name} as a message bus`, () => {
    const opened: MessageBus[] = [];
    let channelCount = 0;
    let channel: string;

    const open = async (onFailure?: ListenerFailure): Promise<MessageBus> => {
      const bus = await create(onFailure);
      opened.push(bus);
      return bus;
    };
    /** Subscribes and keeps what arrives. */
    const listen = async (bus: MessageBus, to = channel) => {
      const received: string[] = [];
      const end = await bus.subscribe(to, (payload) => void received.push(payload.toString()));
      return { received, end };
    };
    const expectReceived = (received: readonly string[], expected: readonly string[]) =>
      eventually(() => expect(received).toEqual(expected));

    beforeEach(() => {
      channel = `contract:${name}:${(channelCount += 1)}`;
    });
    afterEach(async () => {
      await Promise.all(opened.splice(0).map((bus) => bus.close()));
    });

    it('delivers a message to every listener of the channel, in the order of publication', async () => {
      const bus = await open();
      const [first, second] = [await listen(bus), await listen(bus)];
      const expected = Array.from({ length: 50 }, (_, index) => `message ${index}`);
      await Promise.all(expected.map((message) => bus.publish(channel, message)));
      await expectReceived(first.received, expected);
      await expectReceived(second.received, expected);
    });

    it('delivers after publish has returned to its caller', async () => {
      const bus = await open();
      const { received } = await listen(bus);
      const published = bus.publish(channel, 'a');
      expect(received).toEqual([]);
      await published;
      await expectReceived(received, ['a']);
    });

    it('keeps channels apart, whatever characters their names hold', async () => {
      const bus = await open();
      const [star, literal] = [await listen(bus, `${channel}:*`), await listen(bus, `${channel}:a b,c\n{é}`)];
      await bus.publish(`${channel}:a b,c\n{é}`, 'for the second');
      await bus.publish(`${channel}:*`, 'for the first');
      await expectReceived(star.received, ['for the first']);
      await expectReceived(literal.received, ['for the second']);
    });

    it('carries any bytes unchanged', async () => {
      const bus = await open();
      const received: Buffer[] = [];
      await bus.subscribe(channel, (payload) => void received.push(payload));
      const payload = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
      await bus.publish(channel, payload);
      await bus.publish(channel, Buffer.alloc(0));
      await eventually(() => expect(received).toEqual([payload, Buffer.alloc(0)]));
    });

    it('is not disturbed by what the publisher does to its buffer afterwards', async () => {
      const bus = await open();
      const { received } = await listen(bus);
      const payload = Buffer.from('before');
      const published = bus.publish(channel, payload);
      payload.fill('x');
      await published;
      await expectReceived(received, ['before']);
    });

    it('does not let a listener that throws or rejects disturb the others, and reports both (F52)', async () => {
      const failures: [string, unknown][] = [];
      const bus = await open((failed, error) => failures.push([failed, error]));
      const [thrown, rejected] = [new Error('thrown'), new Error('rejected')];
      await bus.subscribe(channel, () => {
        throw thrown;
      });
      await bus.subscribe(channel, () => Promise.reject(rejected));
      const { received } = await listen(bus);
      await bus.publish(channel, 'a');
      await bus.publish(channel, 'b');
      await expectReceived(received, ['a', 'b']);
      await eventually(() => expect(failures).toHaveLength(4));
      expect(failures).toEqual(
        expect.arrayContaining([
          [channel, thrown],
          [channel, rejected],
        ]),
      );
    });

    it('lets nobody wait for a listener that is slow (F52)', async () => {
      const bus = await open();
      let begun = 0;
      await bus.subscribe(channel, () => {
        begun++;
        return new Promise<void>(() => undefined);
      });
      const { received } = await listen(bus);
      await bus.publish(channel, 'a');
      await bus.publish(channel, 'b');
      await expectReceived(received, ['a', 'b']);
      expect(begun).toBe(2);
    });

    it('delivers nothing any more to a listener that has ended its subscription', async () => {
      const bus = await open();
      const [ended, going] = [await listen(bus), await listen(bus)];
      await bus.publish(channel, 'a');
      await expectReceived(ended.received, ['a']);
      await ended.end();
      await ended.end();
      await bus.publish(channel, 'b');
      await expectReceived(going.received, ['a', 'b']);
      expect(ended.received).toEqual(['a']);
    });

    it('keeps a subscription that begins while the last one of its channel ends', async () => {
      const bus = await open();
      const first = await listen(bus);
      const [second] = await Promise.all([listen(bus), first.end()]);
      await bus.publish(channel, 'a');
      await expectReceived(second.received, ['a']);
      expect(first.received).toEqual([]);
    });

    it('delivers nothing after it was closed', async () => {
      const bus = await open();
      const other = await open();
      const { received } = await listen(bus);
      const { received: elsewhere } = await listen(other);
      await bus.close();
      await other.publish(channel, 'a');
      await expectReceived(elsewhere, ['a']);
      expect(received).toEqual([]);
    });

    it('says that it is connected once a subscription is in force', async () => {
      const bus = await open();
      await listen(bus);
      expect(bus.isConnected).toBe(true);
    });

    if (!isShared) return;

    it('carries messages between processes', async () => {
      const [one, other] = [await open(), await open()];
      const { received } = await listen(one);
      await other.publish(channel, 'from elsewhere');
      await expectReceived(received, ['from elsewhere']);
    });
  });
}
