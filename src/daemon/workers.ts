import { systemClock } from "../core/clock.ts";
import type { Stores } from "../store/stores.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import { Workers } from "../workers/registry.ts";
import type { Components } from "./components.ts";

/**
 * Those of an earlier daemon are models again when this one is ready; ones that are slow to show how they are hold it
 * up no longer than this.
 */
const FIRST_LOOK_MS = 1_000;

export async function startWorkers(workers: Workers): Promise<void> {
  const late = Promise.withResolvers<void>();
  const timer = systemClock.after(FIRST_LOOK_MS, late.resolve);
  await Promise.race([workers.start(), late.promise]);
  timer.cancel();
}

/** The registered workers, as one more source of models. */
export function createWorkers(
  { remotes, directory }: Pick<Components, "remotes" | "directory">,
  { records: store, installation }: Pick<Stores, "records" | "installation">,
  log: DaemonLog,
): Workers {
  const workers = new Workers({
    store,
    installation,
    clock: systemClock,
    log: log.part("workers"),
    isTaken: (name) => {
      const model = directory.find(name);
      return model !== undefined && (model.source.type !== "worker" || model.kind === "handler");
    },
  });
  workers.onChange = remotes.add(workers);
  return workers;
}
