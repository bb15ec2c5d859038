import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Clock, Timer } from "../core/clock.ts";
import { ownResidentBytes } from "../core/process.ts";

/**
 * Makes V8 allocate everything in the young generation, whatever it has learned about an allocation site. After a burst
 * it would put parts of later requests into the old generation at once. There they stay after their request has ended,
 * and until the next full collection keep alive everything that they refer to: each collection of the young generation
 * then copies a seventh of what was allocated, and stops the daemon for ten milliseconds instead of one.
 *
 * Call it before the first request. `npm run bench -- variants` compares it with a checkout without it.
 */
export const keepRequestsYoung = (): void => setFlagsFromString("--no-allocation-site-pretenuring");

export interface TidyOptions {
  readonly clock: Clock;
  /** What the daemon does, and has done. */
  work(): { readonly inFlight: number; readonly requestsServed: number };
  /** Resident memory of this process, bytes; null where it cannot be read now. */
  readonly residentBytes?: () => number | null;
  readonly collect?: () => void;
}

/** Soon after the start, but late enough that a daemon that only runs for a moment never pays for a collection. */
const FIRST_LOOK_MS = 10_000;
/** Long: after a pause to read an answer the next question must not find the daemon cold. */
const LOOK_MS = 120_000;
/**
 * Less is not worth a collection: it stops the daemon for 60 ms after the start and for 130 ms after a burst, and with
 * the objects of requests V8 drops the machine code that was compiled for them, so that the next ten thousand cost
 * twice as much.
 */
const WORTHWHILE_BYTES = 16 * 2 ** 20;

/**
 * Gives memory back to the system when no request runs and none has ended since the last look: 10 s after the start, and
 * two to four minutes after a burst. V8 keeps what the start and every burst took (a young generation of 14 MB after
 * the start, 100 MB under load) for as long as nothing is allocated: an idle daemon would have 29 % more memory. Under
 * load nothing changes: the young generation grows again within the first few hundred requests. Ends when disposed.
 */
export function tidyWhenQuiet({
  clock,
  work,
  residentBytes = ownResidentBytes,
  collect = collectEverything,
}: TidyOptions): Disposable {
  let served = work().requestsServed;
  let lowest = 0;
  let timer: Timer;
  const look = (): void => {
    const { inFlight, requestsServed } = work();
    const quiet = inFlight === 0 && requestsServed === served;
    served = requestsServed;
    const before = residentBytes();
    if (quiet && before !== null && before - lowest >= WORTHWHILE_BYTES) {
      collect();
      lowest = residentBytes() ?? lowest;
    }
    timer = clock.after(LOOK_MS, look);
  };
  timer = clock.after(FIRST_LOOK_MS, look);
  return { [Symbol.dispose]: () => timer.cancel() };
}

type Collector = (options: {
  readonly type: "major";
  readonly execution: "sync";
  readonly flavor: "last-resort";
}) => void;

/** A normal full collection keeps the young generation's pages; only the last resort unmaps them. */
function collectEverything(): void {
  setFlagsFromString("--expose-gc");
  // The flag takes effect in contexts made after it.
  const gc = runInNewContext("gc") as Collector;
  gc({ type: "major", execution: "sync", flavor: "last-resort" });
}
