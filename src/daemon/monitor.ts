import { statfs } from "node:fs/promises";
import type { DaemonStatus } from "../api/status.ts";
import { systemClock } from "../core/clock.ts";
import type { FleetEvent } from "../core/fleet.ts";
import type { InstanceSnapshot } from "../core/instance.ts";
import { cudaVersion } from "../fleet/nvidia.ts";
import { Elsewhere } from "../monitor/elsewhere.ts";
import { Monitor } from "../monitor/monitor.ts";
import { daemonLine } from "../monitor/recent-logs.ts";
import { tracingFacts } from "../monitor/tracing-facts.ts";
import type { Stores } from "../store/stores.ts";
import type { TaskObserver, Tasks } from "../tasks/tasks.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import type { Components } from "./components.ts";
import type { Current } from "./current.ts";
import { TaskReports } from "./task-reports.ts";

const MIB = 2 ** 20;
const NVIDIA_TIMEOUT_MS = 5_000;

export interface MonitorParts {
  readonly current: Current;
  readonly components: Components;
  readonly stores: Pick<Stores, "records" | "cluster">;
  readonly log: DaemonLog;
  /** Created after this, and report to it. */
  tasks(): Tasks;
  status(): Promise<DaemonStatus>;
}

/** Combines the events of the daemon's parts for watchers. */
export function createMonitor(parts: MonitorParts): { readonly monitor: Monitor; readonly observer: TaskObserver } {
  const { current, components, stores, log, tasks, status } = parts;
  const { records: store, cluster: connection } = stores;
  let cuda: Promise<string | null> | null = null;
  const own = log.part("monitor");
  const monitor = new Monitor({
    status,
    store,
    disk: async () => {
      const found = await statfs(current.config.paths.dataDir).catch(() => null);
      return found === null ? null : { totalBytes: found.blocks * found.bsize, freeBytes: found.bavail * found.bsize };
    },
    gpuFacts: async () => {
      const isNvidia = current.hardware.devices.some(({ vendor }) => vendor === "nvidia");
      cuda ??= isNvidia ? cudaVersion(current.env, NVIDIA_TIMEOUT_MS) : Promise.resolve(null);
      return { cudaVersion: await cuda, taskOf: (requestId) => tasks().taskOf(requestId) };
    },
    tasks: () => tasks().queue,
    tracing: tracingFacts(current.config.telemetry),
    elsewhere: connection === null ? null : new Elsewhere({ connection, clock: systemClock }),
    clock: systemClock,
    failed: (what, error) => own.warn({ err: error }, what),
  });
  log.lines.add((line) => monitor.log(daemonLine(line)));
  components.fleetEvents.add(modelReports(monitor, components.memory));
  return { monitor, observer: new TaskReports(monitor, () => systemClock.monotonic()) };
}

/** Reports an instance that is ready, and one that was and is no longer. */
function modelReports(monitor: Monitor, memory: Components["memory"]): (event: FleetEvent) => void {
  const loaded = new Map<string, number>();
  const vramMb = (snapshot: InstanceSnapshot): number => {
    const { model, device } = snapshot;
    if (device === "cpu") return 0;
    return Math.round((memory.measured(snapshot) ?? memory.estimateFor(model, device) ?? 0) / MIB);
  };
  return ({ snapshot }) => {
    const { id, model, state } = snapshot;
    if (state === "draining") return;
    const before = loaded.get(id);
    if (state === "ready") {
      loaded.set(id, vramMb(snapshot));
      if (before === undefined)
        monitor.tell({
          type: "model.loaded",
          data: { model_name: model, vram_used_mb: vramMb(snapshot), instance: id },
          task: null,
        });
      return;
    }
    if (before === undefined) return;
    loaded.delete(id);
    monitor.tell({
      type: "model.unloaded",
      data: { model_name: model, vram_freed_mb: vramMb(snapshot) || before, instance: id },
      task: null,
    });
  };
}
