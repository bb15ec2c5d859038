/** An instance that runs, as the governor sees it. */
export interface ThreadUser {
  readonly threads: number;
}

export interface ThreadRequest {
  /** Threads that all instances together may use. At least 1. */
  readonly budget: number;
  readonly running: readonly ThreadUser[];
  /** Where the new instance computes. One on a GPU only feeds it. */
  readonly computesOn: "cpu" | "gpu";
  /** What the model file asks for. */
  readonly wanted: number | "auto";
  /** CPU instances that may be started later and run beside this one; their shares are left free. */
  readonly furtherCpuInstances: number;
}

/** Threads that keep a GPU fed: one that waits for it, one for sampling and HTTP. */
const GPU_THREADS = 2;

/**
 * How many threads a new instance gets: all together never use more than the budget, since ggml's threads spin while they
 * wait for each other and two that share a core stop both instances. Threads cannot be taken back from a running
 * instance, so shares for those that may follow are left free. At least 1, or 0 where the budget is used up: then
 * one of the running instances has to be stopped first.
 */
export function grantThreads(request: ThreadRequest): number {
  const used = request.running.reduce((sum, user) => sum + user.threads, 0);
  const free = Math.max(0, Math.floor(request.budget) - used);
  if (free === 0) return 0;
  const share = request.wanted === "auto" ? autoShare(request, free) : request.wanted;
  return Math.min(free, Math.max(1, Math.floor(share)));
}

const autoShare = (request: ThreadRequest, free: number): number =>
  // Beside CPU instances a GPU instance must not take the share of one of them.
  request.computesOn === "gpu" ? Math.min(GPU_THREADS, free - request.furtherCpuInstances) : free / (1 + Math.max(0, request.furtherCpuInstances));
