import { Injectable } from '@nestjs/common';
import { isInvalidKeyError } from '../common/errors.ts';
import { validKey, type KeySpace, type ResolvedKeyOptions } from '../common/keys.ts';

/**
 * How this application's keys are named on the server.
 *
 * @publicApi
 */
@Injectable()
export class KeyService {
  constructor(
    private readonly keys: KeySpace,
    private readonly options: ResolvedKeyOptions,
  ) {}

  get prefix(): string {
    return this.options.prefix;
  }

  get version(): string {
    return this.options.version;
  }

  /**
   * `prefix:version:key`; a key over the maximum length ends in its SHA-256.
   * @throws InvalidKeyError for what is not a non-blank string
   */
  full(key: string): string {
    return this.keys.full(key);
  }

  /** The glob of the server for a glob of the application. @throws InvalidKeyError for an empty one */
  pattern(glob: string): string {
    return this.keys.pattern(glob);
  }

  isValid(key: unknown): key is string {
    try {
      validKey(key as string);
      return true;
    } catch (error) {
      if (isInvalidKeyError(error)) return false;
      throw error;
    }
  }

  /** The application's key of a full key; undefined when it belongs to somebody else. */
  parse(fullKey: string): string | undefined {
    return this.keys.strip(fullKey);
  }
}
