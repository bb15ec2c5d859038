import type { Environment } from "../config/environment.ts";
import { loadConfig } from "../config/load.ts";
import { resolvePaths } from "../config/paths.ts";
import { acquireLock, type DaemonLock } from "../core/daemon-lock.ts";
import { version } from "../core/package.ts";
import { writing } from "../core/writing.ts";
import { probeHardware } from "../fleet/hardware.ts";
import { sweepLeftovers } from "../fleet/run-record.ts";
import { KeyRing } from "../keys/key-ring.ts";
import { storageLimitOf } from "../keys/storage-limit.ts";
import { DiskFloor } from "../store/disk-floor.ts";
import { LimitedStore } from "../store/limited.ts";
import { installationId, openDocuments, openRecords, type Stores } from "../store/stores.ts";
import { type DaemonLog, openLog } from "../telemetry/log.ts";
import { openTracing } from "../telemetry/tracing/open.ts";
import type { Tracing } from "../telemetry/tracing/start.ts";
import { Current } from "./current.ts";
import { Metering } from "./metering.ts";
import { secureRunDir } from "./run-dir.ts";

export interface ResourceOptions {
  readonly env: Environment;
  readonly foreground: boolean;
}

/** The resources that the daemon acquires before creating its parts, which release them when they stop. */
export interface Resources {
  readonly current: Current;
  readonly stores: Stores;
  readonly lock: DaemonLock;
  readonly log: DaemonLog;
  readonly metering: Metering;
  readonly keys: KeyRing;
  readonly tracing: Tracing | null;
}

/**
 * Takes the data directory's lock and all that it guards. Rejects with the reason, and without the lock, when that
 * fails.
 */
export async function openResources(
  { env, foreground }: ResourceOptions,
  endWorkOf: (tenant: string) => Promise<void>,
): Promise<Resources> {
  const paths = resolvePaths(env);
  await writing("socket directory", paths.runDir, () => secureRunDir(paths.runDir));
  const lock = await writing("data directory", paths.dataDir, () => acquireLock(paths.dataDir));
  try {
    const problems: string[] = [];
    let report = (problem: string): void => void problems.push(problem);
    const documents = openDocuments(paths, (problem) => report(problem));
    // Engines of a daemon that was killed would hold memory that the new ones need.
    const [leftovers, hardware] = await Promise.all([sweepLeftovers(documents.run), probeHardware(env)]);
    const config = await loadConfig({ env, hardware, keyring: true });
    const log = await writing("log directory", paths.logDir, () =>
      openLog({ level: config.logLevel, directory: paths.logDir, alsoTo: foreground ? process.stdout : null }),
    );
    // From here on there is a log to report to.
    report = (problem) => log.log.warn({}, problem);
    problems.forEach(report);
    for (const leftover of leftovers)
      log.log.warn({ ...leftover }, "terminated a process left behind by an earlier daemon");
    const opened = await openRecords(config, report, { isRequired: false });
    const records = new LimitedStore(opened, {
      limitOf: (tenant) => storageLimitOf(tenant, keys.keys, current.config.storage),
      disk: opened.isShared ? null : new DiskFloor(config.paths.dataDir, () => current.config.storage.minFreeBytes),
    });
    const cluster = opened.isShared ? opened.connection : null;
    const installation = cluster === null ? null : await installationId(documents);
    const stores: Stores = { ...documents, records, cluster, installation };
    const metering = await Metering.open({ store: records, documents: stores.data }, (error) =>
      log.log.warn({ err: error }, "the usage of keys could not be saved"),
    );
    const current = new Current(env, config, hardware, stores.engines);
    const keys: KeyRing = new KeyRing({
      store: records,
      paths,
      documents: stores.data,
      configured: () => current.config.apiKeys,
      endWorkOf,
    });
    await keys.open();
    const tracing = await openTracing(config.telemetry, version, log.part("telemetry"));
    return { current, stores, lock, log, metering, keys, tracing };
  } catch (error) {
    await lock.release();
    throw error;
  }
}
