import type { StopCause } from "../core/fleet.ts";

/**
 * The phase of an instance, as decided by the scheduler. It is ahead of the fleet's state: an ordered stop counts from
 * the moment of the order, so that nothing is sent to a stopping process.
 *
 *   planned -> ordered -> starting -> ready <-> held
 *      |          |           |         |        |
 *      v          +-----------+---------+--------+--> leaving -> gone
 *    gone                     |         |
 *                             +---------+-----------> failed  -> gone, as a new plan takes its place
 */
export type Life =
  /** Waits for room. `shortSince`: since when its memory should be free but is not. */
  | { readonly phase: "planned"; readonly shortSince: number | null }
  /** The fleet has the order; `starting`: and has confirmed it. */
  | { readonly phase: "ordered" | "starting" }
  | { readonly phase: "ready" }
  /** Drained by an operator: it stays up and accepts no new work. */
  | { readonly phase: "held" }
  /**
   * The process is to end, when its requests have ended or (`stopping`) now. `restart`: it is started again when it has
   * exited.
   */
  | { readonly phase: "leaving"; readonly cause: StopCause; readonly restart: boolean; readonly stopping: boolean }
  /** The fleet ignores a start before `retryAt`. */
  | { readonly phase: "failed"; readonly retryAt: number }
  | { readonly phase: "gone" };

export const hasProcess = ({ phase }: Life): boolean => phase !== "planned" && phase !== "failed" && phase !== "gone";

/** The instance takes up a place after all pending decisions have been carried out. */
export const stays = (life: Life): boolean =>
  life.phase === "leaving" ? life.restart : life.phase !== "failed" && life.phase !== "gone";

/** About to be ready: planned, ordered, starting, or leaving in order to restart. */
export const isComing = (life: Life): boolean => stays(life) && life.phase !== "ready" && life.phase !== "held";

/** The total use of several instances. */
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

/** Use by live processes, by those that will exist after all pending decisions, and by the pinned ones among these. */
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
