import type { StopCause } from "../core/fleet.ts";

/**
 * What the scheduler has decided about an instance. It runs ahead of the fleet's state: an ordered stop counts from the
 * moment of the order, so that nothing is sent into a stopping process.
 *
 *   planned -> ordered -> starting -> ready <-> held
 *      |          |           |         |        |
 *      v          +-----------+---------+--------+--> leaving -> gone
 *    gone                     |         |
 *                             +---------+-----------> failed  -> gone, as a new plan takes its place
 */
export type Life =
  /** Waits for room. `shortSince`: since when its memory should be free and is not. */
  | { readonly phase: "planned"; readonly shortSince: number | null }
  /** The fleet has the order; `starting`: and has said so. */
  | { readonly phase: "ordered" | "starting" }
  | { readonly phase: "ready" }
  /** An operator drains it: it stays up and takes no new work. */
  | { readonly phase: "held" }
  /** The process ends, once its requests have ended or (`stopping`) now. `restart`: it starts again once it is gone. */
  | { readonly phase: "leaving"; readonly cause: StopCause; readonly restart: boolean; readonly stopping: boolean }
  /** The fleet ignores a start before `retryAt`. */
  | { readonly phase: "failed"; readonly retryAt: number }
  | { readonly phase: "gone" };

export const hasProcess = ({ phase }: Life): boolean => phase !== "planned" && phase !== "failed" && phase !== "gone";

/** The instance takes up a place once everything decided has happened. */
export const stays = (life: Life): boolean =>
  life.phase === "leaving" ? life.restart : life.phase !== "failed" && life.phase !== "gone";

/** On its way up: planned, ordered, starting, or leaving in order to start again. */
export const isComing = (life: Life): boolean => stays(life) && life.phase !== "ready" && life.phase !== "held";

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

/**
 * What is taken: by processes that live, by those there will be once everything decided has happened, and of these by
 * the pinned.
 */
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
