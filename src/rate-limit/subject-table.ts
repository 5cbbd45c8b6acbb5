import { BoundedMap, type MapLimits } from '../common/bounded-map.ts';
import { countFor, type QuotaCount } from './quota-count.ts';
import { Penalty } from './penalty.ts';
import type { Quota } from './rate-limit-store.interface.ts';

/** A count with all its buckets, and a penalty. */
const RECORD_BYTES = 800;
/** A table without room looks for records that hold nothing any more at most so often. */
const SWEEP_EVERY_US = 1_000_000;

/** What is known of one subject under one quota. */
export class SubjectRecord {
  readonly count: QuotaCount;
  penalty: Penalty | undefined;
  isPinned = false;

  constructor(readonly quota: Quota) {
    this.count = countFor(quota);
  }

  penalize(): Penalty {
    return (this.penalty ??= new Penalty());
  }
}

/**
 * The subjects of one quota, as many as there is room for. Where room is short those seen once are forgotten first, and
 * never one that is blocked or has spent half of its quota: a flood of made-up subjects resets nobody's count. Once
 * the table is full of those, newcomers share one count.
 */
export class SubjectTable {
  readonly #records: BoundedMap<SubjectRecord>;
  #overflow: SubjectRecord | undefined;
  #sweptAtUs = -Infinity;

  constructor(limits: MapLimits) {
    this.#records = new BoundedMap(limits);
  }

  get(subject: string, nowUs: number): SubjectRecord | undefined {
    const known = this.#records.get(subject);
    if (known !== undefined || this.#overflow === undefined) return known;
    this.#sweep(nowUs);
    return this.#records.fits(subject, RECORD_BYTES) ? undefined : this.#overflow;
  }

  open(subject: string, quota: Quota, nowUs: number): SubjectRecord {
    const known = this.#records.get(subject);
    if (known !== undefined) return known;
    const record = new SubjectRecord(quota);
    if (this.#records.set(subject, record, RECORD_BYTES)) return record;
    this.#sweep(nowUs);
    if (this.#records.set(subject, record, RECORD_BYTES)) return record;
    return (this.#overflow ??= record);
  }

  /** To be told after each change of a record. */
  keep(subject: string, record: SubjectRecord, used: number): void {
    const isPrecious = used * 2 >= record.quota.capacity || record.penalty !== undefined;
    if (isPrecious === record.isPinned || record === this.#overflow) return;
    record.isPinned = isPrecious;
    if (isPrecious) this.#records.setPinned(subject, record, RECORD_BYTES);
    else this.#records.set(subject, record, RECORD_BYTES);
  }

  delete(subject: string): void {
    this.#records.delete(subject);
  }

  *entries(): IterableIterator<[subject: string, record: SubjectRecord]> {
    yield* this.#records.entries();
  }

  #sweep(nowUs: number): void {
    if (nowUs - this.#sweptAtUs < SWEEP_EVERY_US && nowUs >= this.#sweptAtUs) return;
    this.#sweptAtUs = nowUs;
    for (const [subject, record] of this.#records) {
      const used = record.count.at(nowUs, record.quota.capacity);
      if (record.penalty?.isForgotten(nowUs, record.quota.escalation)) record.penalty = undefined;
      if (used === 0 && record.penalty === undefined) this.#records.delete(subject);
      else this.keep(subject, record, used);
    }
    if (this.#overflow?.count.at(nowUs, this.#overflow.quota.capacity) === 0) this.#overflow = undefined;
  }
}
