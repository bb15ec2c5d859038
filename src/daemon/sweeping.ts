import type { Clock, Timer } from "../core/clock.ts";
import type { Store } from "../core/store.ts";
import type { Log } from "../inference/ports.ts";

const SWEEP_EVERY_MS = 60_000;

/** Deletes what has expired in the store, every minute, until it is disposed of. */
export function sweeping(store: Pick<Store, "sweep">, clock: Clock, log: Log): Disposable {
  let timer: Timer;
  let isOver = false;
  const wait = (): void => {
    timer = clock.after(SWEEP_EVERY_MS, () => {
      void store
        .sweep()
        .catch((error: unknown) => {
          // The store may be closed in the middle of it.
          if (!isOver) log.warn({ err: error }, "expired records could not be deleted");
        })
        .finally(() => {
          if (!isOver) wait();
        });
    });
  };
  wait();
  return {
    [Symbol.dispose]: () => {
      isOver = true;
      timer.cancel();
    },
  };
}
