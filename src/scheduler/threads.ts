/** What the governor is asked. */
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

/** Says how many threads an instance that is about to start gets. Less than 1 is taken as 1: the room was seen to before. */
export type GrantThreads = (request: ThreadRequest) => number;

const GPU_THREADS = 2;

/** The grant used where no other is supplied: what is asked for, or an even share on a CPU, or two threads on a GPU (one waits for it, one samples and answers), never more than is free. */
export const grantFreeThreads: GrantThreads = ({ budget, running, computesOn, wanted, furtherCpuInstances }) => {
  const free = budget - running.reduce((sum, holder) => sum + holder.threads, 0);
  if (wanted !== "auto") return Math.min(wanted, free);
  return computesOn === "gpu" ? Math.min(GPU_THREADS, free) : Math.floor(free / (1 + furtherCpuInstances));
};
