import { hasProcess, type Life, stays } from "./life.ts";

/** What instances take up together. */
export interface Use {
  readonly count: number;
  readonly bytes: number;
  readonly threads: number;
}

/** What is taken: by processes that live, by those there will be once everything decided has happened, and of these by the pinned. */
export interface Taken {
  readonly live: Use;
  readonly future: Use;
  readonly pinned: Use;
}

interface Occupant {
  readonly life: Life;
  readonly isPinned: boolean;
  readonly bytes: number;
  readonly threads: number;
}

export function takenBy(instances: Iterable<Occupant>): Taken {
  const sum = (): { count: number; bytes: number; threads: number } => ({ count: 0, bytes: 0, threads: 0 });
  const [live, future, pinned] = [sum(), sum(), sum()];
  for (const instance of instances) {
    const uses = [hasProcess(instance.life) ? live : null, stays(instance.life) ? future : null, stays(instance.life) && instance.isPinned ? pinned : null];
    for (const use of uses) {
      if (use === null) continue;
      use.count += 1;
      use.bytes += instance.bytes;
      use.threads += instance.threads;
    }
  }
  return { live, future, pinned };
}
