import { Readable } from 'node:stream';
import { BodyBuffer } from '../http-cache/response-recorder.ts';

/** A body after it has ended. */
export interface RecordedBody {
  /** Undefined when it was too long to be kept. */
  readonly whole: Buffer | undefined;
  readonly bytes: number;
  readonly isWhole: boolean;
}

export interface TeeOptions {
  readonly maxBytes: number;
  /** How long the body says it is. */
  readonly length: number | undefined;
}

/** A client that goes when more than this share was read does not stop the rest: so much work is worth keeping. */
const WORTH_FINISHING = 0.8;

/**
 * A body that goes to a client at the client's pace, while a copy is kept as long as it is short enough. When the client
 * goes, so does the source, unless nearly all of it was read.
 */
export class TeedBody extends Readable {
  readonly recorded: Promise<RecordedBody>;
  private readonly buffer: BodyBuffer;
  private finish!: (isWhole: boolean) => void;
  private isWanted = true;

  constructor(
    private readonly source: Readable,
    private readonly options: TeeOptions,
  ) {
    super();
    const buffer = new BodyBuffer(options.maxBytes);
    this.buffer = buffer;
    this.recorded = new Promise((resolve) => {
      this.finish = (isWhole) => resolve({ whole: buffer.whole(), bytes: buffer.bytes, isWhole });
    });
    source.on('data', (chunk: Buffer) => this.took(chunk));
    source.once('end', () => {
      this.finish(true);
      if (this.isWanted) this.push(null);
    });
    source.once('error', (error) => this.broke(error));
    source.once('close', () => this.broke(new Error('The body ended early')));
    source.pause();
  }

  override _read(): void {
    this.source.resume();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.isWanted = false;
    const { length } = this.options;
    const isNearlyThere = length !== undefined && this.buffer.bytes > length * WORTH_FINISHING;
    if (isNearlyThere && !this.source.readableEnded) this.source.resume();
    else this.source.destroy();
    done(error);
  }

  private took(chunk: Buffer): void {
    this.buffer.add(chunk);
    if (this.isWanted && !this.push(chunk)) this.source.pause();
  }

  private broke(error: Error): void {
    if (this.source.readableEnded) return;
    this.finish(false);
    if (this.isWanted) this.destroy(error);
  }
}

/** Reads a body that no client waits for. */
export function recordedBody(source: Readable, options: TeeOptions): Promise<RecordedBody> {
  const body = new TeedBody(source, options);
  body.once('error', () => undefined);
  body.resume();
  return body.recorded;
}
