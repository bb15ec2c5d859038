import { hasProcess, type Life, stays } from "./life.ts";

/** What instances take up together. */
export class Use {
  count = 0;
  bytes = 0;
  threads = 0;

  add(count: number, bytes: number, threads: number): void {
    this.count += count;
    this.bytes += bytes;
    this.threads += threads;
  }
}

/** What is taken: by processes that live, by those there will be once everything decided has happened, and of these by the pinned. */
export class Taken {
  readonly live = new Use();
  readonly future = new Use();
  readonly pinned = new Use();

  static by(instances: Iterable<Occupant>): Taken {
    const taken = new Taken();
    for (const { life, isPinned, bytes, threads } of instances) {
      if (hasProcess(life)) taken.live.add(1, bytes, threads);
      if (stays(life)) taken.future.add(1, bytes, threads);
      if (stays(life) && isPinned) taken.pinned.add(1, bytes, threads);
    }
    return taken;
  }
}

interface Occupant {
  readonly life: Life;
  readonly isPinned: boolean;
  readonly bytes: number;
  readonly threads: number;
}
