import { Injectable } from '@nestjs/common';
import { isStoreFailure, isStoreUnavailableError } from '../common/errors.ts';
import type { KeySpace } from '../common/keys.ts';
import type { CollectionsStore } from './collections-store.interface.ts';
import { assertSafeInteger, type CollectionValue, toText, toTexts } from './collections.values.ts';
import type { MemoryCollectionsStore } from './memory-collections.store.ts';

/**
 * Sets, hashes, lists and counters under the application's keys, with the words and the answers of Redis.
 *
 * What is wrong with an argument is said before anything is sent. Without the server a call rejects, because a local
 * answer would be a wrong one: `StoreUnavailableError` when nothing happened, `OutcomeUnknownError` when the change
 * may have been made; no call is ever sent twice. With `onOutage: 'local'` this process answers by itself meanwhile,
 * from collections that begin empty and are forgotten once the server is back.
 *
 * @publicApi
 */
@Injectable()
export class CollectionsService {
  private answeredLocally = false;

  /** @param local answers during an outage (`onOutage: 'local'`); without it calls reject */
  constructor(
    private readonly keys: KeySpace,
    private readonly store: CollectionsStore,
    private readonly local?: MemoryCollectionsStore,
  ) {}

  async sadd(key: string, ...members: readonly CollectionValue[]): Promise<number> {
    const fullKey = this.keys.full(key);
    const texts = toTexts('members', members);
    return this.write((store) => store.sadd(fullKey, texts));
  }

  async srem(key: string, ...members: readonly CollectionValue[]): Promise<number> {
    const fullKey = this.keys.full(key);
    const texts = toTexts('members', members);
    return this.write((store) => store.srem(fullKey, texts));
  }

  async sismember(key: string, member: CollectionValue): Promise<boolean> {
    const fullKey = this.keys.full(key);
    const text = toText('member', member);
    return this.read((store) => store.sismember(fullKey, text));
  }

  async smembers(key: string): Promise<string[]> {
    const fullKey = this.keys.full(key);
    return this.read((store) => store.smembers(fullKey));
  }

  async scard(key: string): Promise<number> {
    const fullKey = this.keys.full(key);
    return this.read((store) => store.scard(fullKey));
  }

  /** 1 when the field is new, 0 when its value was replaced. */
  async hset(key: string, field: CollectionValue, value: CollectionValue): Promise<number> {
    const fullKey = this.keys.full(key);
    const [fieldText, text] = [toText('field', field), toText('value', value)];
    return this.write((store) => store.hset(fullKey, fieldText, text));
  }

  async hget(key: string, field: CollectionValue): Promise<string | undefined> {
    const fullKey = this.keys.full(key);
    const text = toText('field', field);
    return this.read((store) => store.hget(fullKey, text));
  }

  async hgetall(key: string): Promise<Record<string, string>> {
    const fullKey = this.keys.full(key);
    return this.read((store) => store.hgetall(fullKey));
  }

  async hdel(key: string, ...fields: readonly CollectionValue[]): Promise<number> {
    const fullKey = this.keys.full(key);
    const texts = toTexts('fields', fields);
    return this.write((store) => store.hdel(fullKey, texts));
  }

  /** The new length. Values are pushed one after the other, so the last one comes first. */
  async lpush(key: string, ...values: readonly CollectionValue[]): Promise<number> {
    const fullKey = this.keys.full(key);
    const texts = toTexts('values', values);
    return this.write((store) => store.lpush(fullKey, texts));
  }

  /** The new length. */
  async rpush(key: string, ...values: readonly CollectionValue[]): Promise<number> {
    const fullKey = this.keys.full(key);
    const texts = toTexts('values', values);
    return this.write((store) => store.rpush(fullKey, texts));
  }

  async lpop(key: string): Promise<string | undefined> {
    const fullKey = this.keys.full(key);
    return this.write((store) => store.lpop(fullKey));
  }

  async rpop(key: string): Promise<string | undefined> {
    const fullKey = this.keys.full(key);
    return this.write((store) => store.rpop(fullKey));
  }

  /** Both ends included; negative positions count from the end. */
  async lrange(key: string, start: number, stop: number): Promise<string[]> {
    const fullKey = this.keys.full(key);
    assertSafeInteger('start', start);
    assertSafeInteger('stop', stop);
    return this.read((store) => store.lrange(fullKey, start, stop));
  }

  async incr(key: string): Promise<number> {
    return this.incrby(key, 1);
  }

  /** The new count. One beyond ±(2^53 - 1) is refused with `InvalidOptionsError`, and the counter is unchanged. */
  async incrby(key: string, amount: number): Promise<number> {
    const fullKey = this.keys.full(key);
    assertSafeInteger('amount', amount);
    return this.write((store) => store.incrby(fullKey, amount));
  }

  async decr(key: string): Promise<number> {
    return this.incrby(key, -1);
  }

  /** Asking again elsewhere does no harm, whether or not the server saw the question. */
  private read<T>(ask: (store: CollectionsStore) => T | Promise<T>): Promise<T> {
    return this.answer(ask, isStoreFailure);
  }

  /** A change that the server may have made is not made a second time here. */
  private write<T>(change: (store: CollectionsStore) => T | Promise<T>): Promise<T> {
    return this.answer(change, isStoreUnavailableError);
  }

  /** The one place that decides what the absence of the server means. */
  private async answer<T>(
    act: (store: CollectionsStore) => T | Promise<T>,
    mayActHere: (error: unknown) => boolean,
  ): Promise<T> {
    try {
      const result = await act(this.store);
      this.forgetLocalAnswers();
      return result;
    } catch (error) {
      if (this.local === undefined || !mayActHere(error)) throw error;
      this.answeredLocally = true;
      return await act(this.local);
    }
  }

  /** The next outage must not begin with what was true in the last one. */
  private forgetLocalAnswers(): void {
    if (!this.answeredLocally) return;
    this.answeredLocally = false;
    this.local?.clear();
  }
}
