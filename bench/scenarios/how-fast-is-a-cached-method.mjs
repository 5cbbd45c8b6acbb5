import { Injectable } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Cacheable, CacheModule, CacheService } from 'nestjs-keep';
import { compare } from '../lib/compare.mjs';
import { oneAfterAnother } from '../lib/loops.mjs';
import { missed, record } from '../lib/payload.mjs';
import { figure, table } from '../lib/report.mjs';

export const title = 'How fast is a cached method? A provider with @Cacheable, answered from memory';

const OPTIONS = { ttl: '1h', jitter: 0, read: 'frozen' };
/** Room for all entries: without a server the tier is a second copy, and smaller. */
const ROOMY = { l1: { maxEntries: 50_000 } };
const DIRECT = 'getOrSet with the key in hand';
const TEMPLATE = "@Cacheable({ key: 'user:{id}' })";
const COLUMNS = [
  ['name', 'call', 'text'],
  ['ns', 'ns'],
  ['added', 'ns over getOrSet'],
  ['cpuNs', 'CPU ns'],
];
const IDS = Array.from({ length: 1_024 }, (_, id) => id);
const keyOf = (id) => `user:${id}`;

class Users {
  async plain(id) {
    return id;
  }

  async byTemplate(id) {
    return record(200, id);
  }

  async byFunction(id) {
    return record(200, id);
  }

  async byArguments(id) {
    return record(200, id);
  }
}

/** What the decorator syntax of TypeScript does. */
function decorate(method, decorator) {
  const descriptor = Object.getOwnPropertyDescriptor(Users.prototype, method);
  decorator(Users.prototype, method, descriptor);
  Object.defineProperty(Users.prototype, method, descriptor);
}

Injectable()(Users);
decorate('byTemplate', Cacheable({ ...OPTIONS, key: 'user:{id}' }));
decorate('byFunction', Cacheable({ ...OPTIONS, key: (id) => `user:function:${id}` }));
decorate('byArguments', Cacheable(OPTIONS));

export async function run({ rounds = 9, sliceMs = 60 }) {
  const cacheModule = CacheModule.forRoot({ redis: false, cache: ROOMY, metrics: { enabled: false } });
  const module = { module: class Root {}, imports: [cacheModule], providers: [Users] };
  const app = await NestFactory.createApplicationContext(module, { logger: false });
  const [cache, users] = [app.get(CacheService), app.get(Users)];
  const calls = {
    'a method without decorator': (id) => users.plain(id),
    [DIRECT]: (id) => cache.getOrSet(KEYS[id], OPTIONS, missed),
    'getOrSet, key built by the caller': (id) => cache.getOrSet(keyOf(id), OPTIONS, missed),
    [TEMPLATE]: (id) => users.byTemplate(id),
    '@Cacheable({ key: (id) => … })': (id) => users.byFunction(id),
    '@Cacheable, key of all arguments': (id) => users.byArguments(id),
  };
  await Promise.all(IDS.flatMap((id) => [users.byTemplate(id), users.byFunction(id), users.byArguments(id)]));
  const contenders = Object.entries(calls).map(([name, call]) => ({ name, run: oneAfterAnother(call, IDS) }));
  const rows = await compare(contenders, { rounds, sliceMs, warmupMs: 200 });
  await app.close();

  const nsOf = (name) => rows.find((row) => row.name === name).ns;
  const described = rows.map((row) => ({ ...row, added: row.ns - nsOf(DIRECT) }));
  return {
    tables: [table('A cached method', COLUMNS, described)],
    rows,
    figures: [figure('@Cacheable over getOrSet', nsOf(TEMPLATE) - nsOf(DIRECT), { atMost: 140, unit: ' ns' })],
  };
}

const KEYS = IDS.map(keyOf);
