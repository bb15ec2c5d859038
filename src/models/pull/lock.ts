import { setTimeout as sleep } from "node:timers/promises";
import { lock } from "proper-lockfile";
import { AssistantError } from "../../core/errors.ts";

/** A lock that its holder has not touched for so long is free. */
export const STALE_MS = 20_000;
const LOOK_EVERY_MS = 150;

/** Released on disposal; `lost` is aborted when the lock was taken away (the machine slept, the disk hung). */
export interface PullLock extends AsyncDisposable {
  readonly lost: AbortSignal;
}

/**
 * Waits until this process is the only one that pulls into `file`. `onWait` is called each time it is found taken.
 * A lock whose holder died counts as free after 20 s. Rejects with the signal's reason once aborted.
 */
export async function lockPull(
  file: string,
  lockfilePath: string,
  signal: AbortSignal,
  onWait: () => void,
): Promise<PullLock> {
  const lost = new AbortController();
  for (;;) {
    signal.throwIfAborted();
    try {
      const release = await lock(file, {
        lockfilePath,
        realpath: false,
        stale: STALE_MS,
        update: STALE_MS / 4,
        onCompromised: (error) => lost.abort(takenOver(error)),
      });
      return { lost: lost.signal, [Symbol.asyncDispose]: () => release().catch(() => {}) };
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ELOCKED") throw error;
      onWait();
      await sleep(LOOK_EVERY_MS, undefined, { signal }).catch(() => {});
    }
  }
}

const takenOver = (cause: Error): AssistantError =>
  new AssistantError(
    "pull_failed",
    "This pull was suspended for so long (the machine slept, or its disk hung) that another one may have taken over.",
    {
      remedy: "Run the same command again to resume.",
      cause,
    },
  );
