import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import type { Product } from '../catalog/product.ts';
import type { Post } from '../feed/feed.ts';
import type { Order } from '../orders/order.ts';
import type { Upload } from '../uploads/upload.ts';
import { SEED } from './seed.ts';

export interface Tables {
  readonly products: Product[];
  readonly posts: Post[];
  readonly orders: Order[];
  readonly uploads: Upload[];
}

const QUERY_MS = 50;

/**
 * Stands in for a database: every query takes 50 ms and is counted. Its tables are in memory, or in DATABASE_FILE for
 * several processes of the sample to share.
 */
@Injectable()
export class Database {
  queries = 0;
  private readonly file = process.env['DATABASE_FILE'];
  private tables: Tables = SEED;

  async read<R>(query: (tables: Tables) => R): Promise<R> {
    return this.answer(query(this.load()));
  }

  async write<R>(query: (tables: Tables) => R): Promise<R> {
    const tables = this.load();
    const result = query(tables);
    this.save(tables);
    return this.answer(result);
  }

  private async answer<R>(result: R): Promise<R> {
    this.queries++;
    await sleep(QUERY_MS);
    return result;
  }

  /** A copy, so that nobody changes a row without a query. */
  private load(): Tables {
    if (this.file === undefined || !existsSync(this.file)) return structuredClone(this.tables);
    return JSON.parse(readFileSync(this.file, 'utf8')) as Tables;
  }

  private save(tables: Tables): void {
    this.tables = tables;
    if (this.file === undefined) return;
    const draft = `${this.file}.${process.pid}`;
    writeFileSync(draft, JSON.stringify(tables));
    renameSync(draft, this.file);
  }
}
