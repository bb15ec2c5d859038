export interface ThreadRequest {
  /** Threads that all instances together may use. At least 1. */
  readonly budget: number;
  /** The other instances that run or start. */
  readonly running: readonly { readonly threads: number }[];
  /** Where the new instance computes. One on a GPU only feeds it. */
  readonly computesOn: "cpu" | "gpu";
  /** The model's setting. */
  readonly wanted: number | "auto";
  /** CPU instances that may be started later and run beside this one; their shares are left free. */
  readonly furtherCpuInstances: number;
}

/** Threads that keep a GPU fed: one that waits for it, one for sampling and HTTP. */
const GPU_THREADS = 2;

/**
 * How many threads a new instance gets. All together never use more than the budget: ggml's threads spin while they wait
 * for each other, so that two instances which share cores stop both. Threads cannot be taken back from a running instance;
 * therefore shares for those that may follow are left free. At least 1, or 0 where the budget is used up: then another
 * instance has to be stopped first.
 */
export function grantThreads({ budget, running, computesOn, wanted, furtherCpuInstances }: ThreadRequest): number {
  const free = Math.floor(budget) - running.reduce((sum, user) => sum + user.threads, 0);
  if (free <= 0) return 0;
  // Beside CPU instances one on a GPU must not take the share of one of them.
  const share = computesOn === "cpu" ? free / (1 + furtherCpuInstances) : Math.min(GPU_THREADS, free - furtherCpuInstances);
  return Math.min(free, Math.max(1, Math.floor(wanted === "auto" ? share : wanted)));
}
