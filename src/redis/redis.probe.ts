import type { Redis } from 'ioredis';
import { StoreUnavailableError } from '../common/errors.ts';
import { isCluster, type RedisClient } from './redis.client.ts';
import { replyCodeOf } from './redis.outcome.ts';

/** What the servers say of themselves. */
export interface Identity {
  /** One for each primary; it changes with every start of a server. Empty where it is not told to our user. */
  readonly runIds: readonly string[];
  /** Writes would be refused, and reads may be old. A cluster client finds the primaries itself. */
  readonly isReplica: boolean;
}

/** Asks every primary that is connected. @throws when none of them answers */
export async function askIdentity(client: RedisClient): Promise<Identity> {
  if (!isCluster(client)) return askNode(client);
  const answers = await Promise.allSettled(client.nodes('master').map(askNode));
  const identities = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
  if (identities.length === 0) throw new StoreUnavailableError('probe', 'no primary of the cluster answers');
  return { runIds: identities.flatMap(({ runIds }) => runIds), isReplica: false };
}

async function askNode(node: Redis): Promise<Identity> {
  const [role, info] = await Promise.all([allowed(node.role()), allowed(node.info('server')), allowed(node.ping())]);
  const [, runId] = /^run_id:(\w+)/m.exec(info ?? '') ?? [];
  return { runIds: runId === undefined ? [] : [runId], isReplica: role?.[0] === 'slave' };
}

/** That our user may not ask is an answer, too. */
async function allowed<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (replyCodeOf(error) === 'NOPERM') return undefined;
    throw error;
  }
}
