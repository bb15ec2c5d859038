import { join } from "node:path";
import { engineEnvironment } from "../fleet/environment.ts";
import { RunRecord } from "../fleet/run-record.ts";
import { findExcess } from "../gateway/canonical/json-text.ts";
import { Objects } from "../objects/objects.ts";
import { Pools } from "../replicas/pools.ts";
import { Replicas } from "../replicas/replicas.ts";
import type { Stores } from "../store/stores.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import type { Components } from "./components.ts";
import type { Current } from "./current.ts";

/** Workers that are started on demand for their capabilities, also as a source. */
export function createPools(
  { config: { paths }, env }: Pick<Current, "config" | "env">,
  { remotes }: Pick<Components, "remotes">,
  stores: Pick<Stores, "run">,
  log: DaemonLog,
): Pools {
  const pools = new Pools({
    environment: engineEnvironment(env),
    logDir: join(paths.logDir, "instances"),
    record: new RunRecord(stores.run, "workers"),
    log: log.part("workers"),
    onChange: () => tell(),
  });
  const tell = remotes.add(pools);
  return pools;
}

/** Workers that register themselves by capabilities, as a source of places for requests. */
export function createReplicas(
  { remotes, directory }: Pick<Components, "remotes" | "directory">,
  log: DaemonLog,
): Replicas {
  const workers = log.part("workers");
  const replicas = new Replicas({
    isTaken: (name) => (directory.find(name)?.kind ?? "handler") !== "handler",
    onChange: (delta) => tell(delta),
    log: (event, { replicaId, endpoint }) => workers.info({ replica: replicaId, endpoint }, `replica ${event}`),
  });
  const tell = remotes.add(replicas);
  return replicas;
}

/** What handlers and clients pass by reference, within the limits of the configuration. */
export const createObjects = (current: Pick<Current, "config">, { records }: Pick<Stores, "records">): Objects =>
  new Objects(
    records,
    () => ({ limitBytes: current.config.fileLimitBytes, keepMs: current.config.storage.keepObjectsMs }),
    (json) => findExcess(json) !== null,
  );
