/** A part of the daemon. Parts start in the order of their list and stop in the opposite one. */
export interface Part {
  readonly name: string;
  /** Rejects with the reason why the daemon cannot run. */
  start?(): void | Promise<void>;
  /**
   * `now`: what runs is ended instead of being waited for. Called too when the daemon cannot start, whether this part
   * has begun or not: requests come in as soon as the first address is bound.
   */
  stop?(now: boolean): void | Promise<void>;
}

/** A part that holds something from its start to its end. */
export function lasting(name: string, start: () => Disposable): Part {
  let held: Disposable | null = null;
  return {
    name,
    start: () => {
      held = start();
    },
    stop: () => held?.[Symbol.dispose](),
  };
}

/**
 * Starts all; if one fails, stops all and rejects with its reason. Once `isStopping`, no further one starts: they are
 * to be stopped when this resolves, and one that is stopped before its start would keep running.
 */
export async function startParts(parts: readonly Part[], isStopping: () => boolean = () => false): Promise<void> {
  try {
    for (const part of parts) {
      if (isStopping()) return;
      await part.start?.();
    }
  } catch (error) {
    // Why the daemon cannot run says more than what went wrong on the way out.
    await stopParts(parts, true).catch(() => {});
    throw error;
  }
}

/**
 * Stops every part, even after one could not be stopped: engines and the lock must not outlive the daemon. Rejects with
 * the first failure.
 */
export async function stopParts(parts: readonly Part[], now: boolean): Promise<void> {
  const failures: unknown[] = [];
  for (const part of parts.toReversed()) {
    try {
      await part.stop?.(now);
    } catch (error) {
      failures.push(error);
    }
  }
  if (failures.length > 0) throw failures[0];
}
