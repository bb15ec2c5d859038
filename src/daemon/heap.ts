import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock, Timer } from "../core/clock.ts";

/**
 * Tells V8 to allocate in the young generation whatever it has learnt about an allocation site. With what it learns
 * from a burst it puts parts of later requests into the old generation at once; there they die unnoticed, and until the
 * next full collection keep alive everything that they refer to. Each collection of the young generation then copies
 * a seventh of what was allocated, and stops the daemon for ten milliseconds instead of one.
 *
 * Called before the first request. Memory is the same or less; `npm run bench -- gateway` shows the difference.
 */
export const keepRequestsYoung = (): void => setFlagsFromString("--no-allocation-site-pretenuring");

export interface TidyOptions {
  readonly clock: Clock;
  /** What the daemon does, and has done. */
  work(): { readonly inFlight: number; readonly requestsServed: number };
  /** Resident memory of this process, bytes. */
  readonly residentBytes?: () => number;
  readonly collect?: () => void;
}

/** Right after the start it waits for nobody but those who have started it. */
const FIRST_LOOK_MS = 2_000;
/** Whoever pauses to read an answer must not find the daemon cold when the next question comes. */
const LOOK_MS = 120_000;
/**
 * A collection stops the daemon for 60 ms after the start and for 130 ms after a burst, and V8 drops with the objects
 * of requests the machine code that was compiled for them: the next ten thousand cost twice as much. Less is not worth it.
 */
const WORTHWHILE_BYTES = 16 * 2 ** 20;

/**
 * Gives memory back to the system while no request runs or has ended since the last look: 2 s after the start, and
 * two to four minutes after the work that took it. V8 of itself keeps what the start and every burst took (a young generation of
 * 14 MB after the start, 100 MB under load), for as long as nothing is allocated. Under load nothing changes: the young
 * generation grows again within the first few hundred requests. Ends when disposed.
 */
export function tidyWhenQuiet({ clock, work, residentBytes = process.memoryUsage.rss, collect = collectEverything }: TidyOptions): Disposable {
  let served = work().requestsServed;
  let lowest = 0;
  let timer: Timer;
  const look = (): void => {
    const { inFlight, requestsServed } = work();
    const quiet = inFlight === 0 && requestsServed === served;
    served = requestsServed;
    if (quiet && residentBytes() - lowest >= WORTHWHILE_BYTES) {
      collect();
      lowest = residentBytes();
    }
    timer = clock.after(LOOK_MS, look);
  };
  timer = clock.after(FIRST_LOOK_MS, look);
  return { [Symbol.dispose]: () => timer.cancel() };
}

type Collector = (options: { readonly type: "major"; readonly execution: "sync"; readonly flavor: "last-resort" }) => void;

/** A usual full collection keeps the young generation's pages; only the last resort unmaps them. */
function collectEverything(): void {
  setFlagsFromString("--expose-gc");
  // The flag takes effect in contexts made after it.
  const gc = runInNewContext("gc") as Collector;
  gc({ type: "major", execution: "sync", flavor: "last-resort" });
}
