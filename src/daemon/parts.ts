/** A part of the daemon. Parts start in the order of their list and stop in the opposite one. */
export interface Part {
  readonly name: string;
  /** Rejects with the reason why the daemon cannot run. */
  start?(): void | Promise<void>;
  /** `now`: what runs is ended instead of being waited for. Called too when the start of this or a later part failed. */
  stop?(now: boolean): void | Promise<void>;
}

/** Starts all; when one fails, stops those that were begun and rejects with its reason. */
export async function startParts(parts: readonly Part[]): Promise<void> {
  for (const [index, part] of parts.entries()) {
    try {
      await part.start?.();
    } catch (error) {
      await stopParts(parts.slice(0, index + 1), true);
      throw error;
    }
  }
}

export async function stopParts(parts: readonly Part[], now: boolean): Promise<void> {
  for (const part of parts.toReversed()) await part.stop?.(now);
}
