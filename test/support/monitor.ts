import { systemClock } from "../../src/core/clock.ts";
import type { Store } from "../../src/core/store.ts";
import { Monitor, type MonitorPorts } from "../../src/monitor/monitor.ts";
import { emptyStatus } from "./gateway.ts";

/** For monitors that count nothing. */
const noStore: Pick<Store, "collection" | "commit"> = {
  collection: () => ({}) as ReturnType<Store["collection"]> as never,
  commit: () => Promise.reject(new Error("there is no store")),
};

/** A monitor of a daemon in which nothing happens. */
export const testMonitor = (ports: Partial<MonitorPorts> = {}): Monitor =>
  new Monitor({
    status: async () => emptyStatus,
    store: noStore,
    disk: async () => ({ totalBytes: 4 * 2 ** 30, freeBytes: 2 ** 30 }),
    gpuFacts: async () => ({ cudaVersion: null, taskOf: () => null }),
    tasks: () => ({ waiting: 0, running: [] }),
    tracing: { enabled: false, platform: null, host: null },
    elsewhere: null,
    clock: systemClock,
    failed: (what, error) => {
      throw new Error(what, { cause: error });
    },
    ...ports,
  });
