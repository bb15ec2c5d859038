/**
 * Gives a function that runs `work` and never two at once. What it returns resolves when a run has ended that began
 * after the call; calls that come during one share the next. `work` never rejects.
 */
export function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let last = Promise.resolve();
  let next: Promise<void> | null = null;
  return () => {
    next ??= last = last.then(() => {
      next = null;
      return work();
    });
    return next;
  };
}
