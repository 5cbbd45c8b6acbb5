import { replyCodeOf } from './redis.outcome.ts';
import type { RedisClient } from './redis.client.ts';

/** What a server says of itself. */
export interface Identity {
  /** It changes with every start of the server. Empty where it is not told to our user. */
  readonly runIds: readonly string[];
  /** Writes would be refused, and reads may be old. */
  readonly isReplica: boolean;
}

/** A key that nobody stores. */
const PROBE_KEY = 'nestjs-keep:probe';

/**
 * Asks for a key, too: the node of a cluster that was just started answers everything else long before that.
 *
 * @param place a hash tag that leads to this node, empty where there is only one
 */
export async function askIdentity(node: RedisClient, place: string): Promise<Identity> {
  const [role, info] = await Promise.all([
    allowed(node.role()),
    allowed(node.info('server')),
    allowed(node.ping()),
    allowed(node.exists(place + PROBE_KEY)),
  ]);
  const [, runId] = /^run_id:(\w+)/m.exec(info ?? '') ?? [];
  return { runIds: runId === undefined ? [] : [runId], isReplica: role?.[0] === 'slave' };
}

/** That our user may not ask is an answer, too, and so is that others have that key by now. */
const ANSWERS: ReadonlySet<string | undefined> = new Set(['NOPERM', 'MOVED', 'ASK']);

async function allowed<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (ANSWERS.has(replyCodeOf(error))) return undefined;
    throw error;
  }
}
