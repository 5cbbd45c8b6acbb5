/** What a watch tells of. Keys are full keys. */
export interface KeyWatchEvents {
  /** Somebody changed or removed these, or they have expired. */
  readonly onKeys: (keys: readonly string[]) => void;
  /** Everything was removed at once. */
  readonly onFlush: () => void;
  /** Changes may have been missed. */
  readonly onGap: () => void;
  /** The server does not let us watch, and the watch has ended. */
  readonly onRefusal: (error: Error) => void;
}

/** Hears from the server itself which keys are changed, whoever changes them. */
export interface KeyWatch {
  /** All changes up to this moment of `performance.now()` have been told; -Infinity while some may be missing. */
  readonly heardMs: number;
  start(events: KeyWatchEvents): void;
  /** Proves that changes are heard, from time to time: moves `heardMs` on. */
  beat(): void;
  close(): Promise<void>;
}
