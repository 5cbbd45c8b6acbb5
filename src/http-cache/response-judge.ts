import type { ExecutionContext } from '@nestjs/common';
import { BoundedMap } from '../common/bounded-map.ts';
import type { HttpHeaders } from './http-headers.ts';
import type { ResolvedHttpOptions } from './http.options.ts';
import {
  type Fitness,
  fitnessOf,
  NO_REQUEST_DIRECTIVES,
  type RequestDirectives,
  requestDirectivesOf,
} from './request-directives.ts';
import type { StoredResponse } from './stored-response.ts';

/** How good a stored response is at this moment. */
export interface Standing {
  readonly fitness: Fitness;
  readonly ageMs: number;
  /** How long it is still fresh; negative when it is stale. */
  readonly ttlMs: number;
}

const RELOADS = { maxEntries: 10_000, maxBytes: 4 * 1024 ** 2 };

/** Says what a stored response is worth to a request, and what the request has to say about it. */
export class ResponseJudge {
  /** When a client last had a response made anew: where it could not be stored, nothing else tells. */
  private readonly reloads = new BoundedMap<number>(RELOADS);

  /** @param now the clock that responses are dated by */
  constructor(
    private readonly http: Pick<ResolvedHttpOptions, 'requestDirectives' | 'reloadFloorMs'>,
    private readonly now: () => number,
  ) {}

  directivesOf(context: ExecutionContext, headers: HttpHeaders): RequestDirectives {
    const { requestDirectives } = this.http;
    const mode = typeof requestDirectives === 'function' ? requestDirectives(context) : requestDirectives;
    return mode === 'ignore' ? NO_REQUEST_DIRECTIVES : requestDirectivesOf(headers);
  }

  /** @param isFresh false for what was made stale by a tag: it is stale, whatever time it had */
  standing({ draft }: StoredResponse, directives: RequestDirectives, isFresh: boolean): Standing {
    const ageMs = Math.max(0, this.now() - draft.generatedAtMs) + draft.ageMs;
    const freshMs = isFresh ? draft.freshMs : Math.min(draft.freshMs, ageMs);
    const fitness = fitnessOf(directives, { ageMs, freshMs, isStaleForbidden: draft.isStaleForbidden });
    return { fitness, ageMs, ttlMs: freshMs - ageMs };
  }

  /** A client has the response of this name made anew now. */
  reloaded(name: string): void {
    this.reloads.set(name, this.now(), 8);
  }

  /** Whether it was made so lately that no client may have it made anew. */
  isRecent(name: string, { draft }: StoredResponse): boolean {
    const lastMs = Math.max(draft.generatedAtMs, this.reloads.get(name) ?? 0);
    return this.now() - lastMs < this.http.reloadFloorMs;
  }
}
