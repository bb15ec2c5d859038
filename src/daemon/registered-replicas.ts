import type { Environment } from "../config/environment.ts";
import { engineEnvironment } from "../fleet/environment.ts";
import { Pools } from "../replicas/pools.ts";
import { Replicas } from "../replicas/replicas.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import type { Components } from "./components.ts";

/** Workers that are started when somebody asks for their capabilities, as a source likewise. */
export function createPools({ remotes }: Pick<Components, "remotes">, env: Environment, log: DaemonLog): Pools {
  const pools = new Pools({
    environment: engineEnvironment(env),
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
    onChange: () => tell(),
    log: (event, { replicaId, endpoint }) => workers.info({ replica: replicaId, endpoint }, `replica ${event}`),
  });
  const tell = remotes.add(replicas);
  return replicas;
}
