import { randomUUID } from 'node:crypto';
import { errorKind } from '../common/error-kind.ts';

/** A long act that goes on after its request was answered. */
export interface Job {
  readonly id: string;
  readonly state: 'running' | 'done' | 'failed' | 'cancelled';
  readonly scanned: number;
  readonly affected: number;
  readonly error?: string;
}

export interface JobControl {
  readonly scanned: (count: number) => void;
  readonly affected: (count: number) => void;
  readonly isCancelled: () => boolean;
}

const MAX_JOBS = 100;

/** The long acts of this instance; the last hundred are remembered. */
export class Jobs {
  readonly #jobs = new Map<string, Job>();
  readonly #cancelled = new Set<string>();

  start(work: (control: JobControl) => Promise<unknown>, ended: (job: Job) => void): Job {
    const job: Job = { id: randomUUID(), state: 'running', scanned: 0, affected: 0 };
    this.#remember(job);
    void this.#run(job.id, work).then(ended);
    return job;
  }

  get(id: string): Job | undefined {
    return this.#jobs.get(id);
  }

  /** Undefined when there is no such job; one that has ended stays as it is. */
  cancel(id: string): Job | undefined {
    const job = this.#jobs.get(id);
    if (job?.state === 'running') this.#cancelled.add(id);
    return job;
  }

  cancelAll(): void {
    for (const id of this.#jobs.keys()) this.cancel(id);
  }

  async #run(id: string, work: (control: JobControl) => Promise<unknown>): Promise<Job> {
    try {
      await work({
        scanned: (count) => this.#change(id, ({ scanned }) => ({ scanned: scanned + count })),
        affected: (count) => this.#change(id, ({ affected }) => ({ affected: affected + count })),
        isCancelled: () => this.#cancelled.has(id),
      });
      return this.#change(id, () => ({ state: this.#cancelled.has(id) ? 'cancelled' : 'done' }));
    } catch (error) {
      return this.#change(id, () => ({ state: 'failed', error: errorKind(error) }));
    } finally {
      this.#cancelled.delete(id);
    }
  }

  #change(id: string, change: (job: Job) => Partial<Job>): Job {
    const job = this.#jobs.get(id) ?? { id, state: 'running', scanned: 0, affected: 0 };
    const changed = { ...job, ...change(job) };
    this.#jobs.set(id, changed);
    return changed;
  }

  #remember(job: Job): void {
    const [oldest] = this.#jobs.keys();
    if (this.#jobs.size >= MAX_JOBS && oldest !== undefined) this.#jobs.delete(oldest);
    this.#jobs.set(job.id, job);
  }
}
