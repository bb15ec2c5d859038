import type { Use } from "./life.ts";

/** What the governor of threads is asked. */
export interface ThreadRequest {
  /** Threads that all instances together may use. */
  readonly budget: number;
  /** The other instances. */
  readonly running: readonly { readonly threads: number }[];
  /** One on a GPU only feeds it. */
  readonly computesOn: "cpu" | "gpu";
  /** The model's setting. */
  readonly wanted: number | "auto";
  /** CPU instances that may start later and run beside this one. */
  readonly furtherCpuInstances: number;
}

/** How many threads an instance that is about to start gets. Less than 1 is taken as 1: the room was seen to before. */
export type GrantThreads = (request: ThreadRequest) => number;

const GPU_THREADS = 2;

/**
 * The grant used where no other is supplied. On a CPU an even share of what is free, at most what is wanted; a number below the
 * budget was chosen for this model, so it gets that as far as one thread is left for each further instance. On a GPU what is wanted, or two threads:
 * one waits for it, one samples and answers. Never more than is free.
 */
export const grantFreeThreads: GrantThreads = ({ budget, running, computesOn, wanted, furtherCpuInstances }) => {
  const free = budget - running.reduce((sum, holder) => sum + holder.threads, 0);
  if (computesOn === "gpu") return Math.min(wanted === "auto" ? GPU_THREADS : wanted, free);
  if (wanted !== "auto" && wanted < budget) return Math.min(wanted, free - furtherCpuInstances);
  return Math.floor(free / (1 + furtherCpuInstances));
};

/** Most instances of one thread each, as a multiple of the budget: each more makes all slower while they are all at work. */
const MAX_SHARING = 2;

/**
 * Whether one more instance has a thread beside others on the same cores. Threads of one process wait for each other many times within a token, so
 * that one that has lost its core to another process holds up all of them; processes of one thread share cores without loss. The first instance of a
 * model may therefore start over the budget while all others have one thread, rather than push a model out; a further replica would gain nothing.
 */
export function hasThread(budget: number, { threads, count }: Pick<Use, "threads" | "count">, first: boolean): boolean {
  if (threads < budget) return true;
  return first && threads === count && count < MAX_SHARING * budget;
}
