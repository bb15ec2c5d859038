import type { PrefixMark } from "../../src/core/request.ts";

/** One request of a simulation. Times are milliseconds from the start of the run. */
export interface SimRequest {
  readonly id: string;
  readonly model: string;
  readonly tenant: string;
  readonly priority: number;
  readonly at: number;
  readonly promptTokens: number;
  /** What the scheduler is told; left out where it knows the truth. */
  readonly estimatedTokens?: number;
  /** What the client allows; left out where it says nothing. */
  readonly maxTokens?: number;
  readonly outputTokens: number;
  /** Boundaries of blocks, shortest first; equal hashes are equal beginnings. */
  readonly blocks: readonly PrefixMark[];
  /** Milliseconds from its arrival after which its answer is of no use; left out where there is no such time. */
  readonly deadlineMs?: number;
}

/** Where the requests of a run come from. Times are milliseconds from its start. */
export interface SimSource<Request extends SimRequest> {
  /** When the next one comes, as far as that is known yet; null: nothing comes before something has ended. */
  readonly nextAt: number | null;
  take(): Request;
  /** A request has ended, one way or another. */
  ended(id: string, at: number): void;
}

/** Requests that come when they come, whatever becomes of the others. */
export function sourceOf(requests: readonly SimRequest[]): SimSource<SimRequest> {
  let next = 0;
  return {
    get nextAt() {
      return requests[next]?.at ?? null;
    },
    take() {
      const request = requests[next];
      if (request === undefined) throw new Error("no request is left");
      next += 1;
      return request;
    },
    ended() {},
  };
}

export const MODEL = "model";

/** Time to the next arrival of a Poisson process, milliseconds. */
export const poissonGapMs = (random: () => number, perSecond: number): number =>
  (-Math.log(1 - random()) / perSecond) * 1000;
