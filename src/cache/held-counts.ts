import type { Shard } from '../redis/availability.types.ts';

/** How many values this process held of what a pattern matched, besides those that a server counts. */
export class HeldCounts {
  private own = 0;
  private readonly byShard = new Map<Shard | undefined, number>();

  constructor(private readonly shardOf: (key: string) => Shard | undefined) {}

  /** @param isOwn whether it was held nowhere else */
  readonly add = (key: string, isOwn: boolean): void => {
    if (isOwn) {
      this.own++;
      return;
    }
    const shard = this.shardOf(key);
    this.byShard.set(shard, (this.byShard.get(shard) ?? 0) + 1);
  };

  /** @param counted shards that have told how many there were */
  beside(counted: readonly (Shard | undefined)[]): number {
    let count = this.own;
    for (const [shard, held] of this.byShard) if (!counted.includes(shard)) count += held;
    return count;
  }
}
