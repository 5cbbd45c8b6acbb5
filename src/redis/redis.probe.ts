import { replyCodeOf } from './redis.outcome.ts';
import type { RedisClient } from './redis.client.ts';

/** What a server says of itself. */
export interface Identity {
  /** It changes with every start of the server. Empty where it is not told to our user. */
  readonly runIds: readonly string[];
  /** Writes would be refused, and reads may be old. */
  readonly isReplica: boolean;
}

export async function askIdentity(node: RedisClient): Promise<Identity> {
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
