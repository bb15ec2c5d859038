/** An instance that holds threads already. */
export interface ThreadHolder {
  readonly threads: number;
  readonly device: string;
}

/**
 * Says how many threads an instance that is about to start on `device` gets, at least 1. `running` are the other
 * instances, `wanted` the model's setting, `budget` what all together may use.
 */
export type GrantThreads = (running: readonly ThreadHolder[], device: string, wanted: number | "auto", budget: number) => number;

/**
 * The grant used where no other is supplied: what is asked for, or on a CPU all that is free, or one thread on a GPU
 * (its work is done elsewhere), never more than what is free.
 */
export const grantFreeThreads: GrantThreads = (running, device, wanted, budget) => {
  const used = running.reduce((sum, holder) => sum + holder.threads, 0);
  const free = Math.max(1, budget - used);
  if (wanted !== "auto") return Math.max(1, Math.min(wanted, free));
  return device === "cpu" ? free : 1;
};
