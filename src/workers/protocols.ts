import type { Upstream } from "../core/upstream.ts";
import type { WorkerProtocol } from "../core/worker.ts";
import { FormUpstream } from "../upstreams/worker/form-upstream.ts";
import { getStatus } from "../upstreams/worker/get-status.ts";

/** `silent`: it did not answer in time, as one that is busy may not. */
type WorkerHealth = "well" | "unwell" | "silent";

/** How to call workers of one protocol, and check their health. */
export interface WorkerDriver {
  upstream(endpoint: string): Upstream;
  health(endpoint: string): Promise<WorkerHealth>;
  /** Has it give up what it is doing. False: it does not know how. */
  abort(endpoint: string): Promise<boolean>;
}

const HEALTH_TIMEOUT_MS = 3_000;
const ABORT_TIMEOUT_MS = 5_000;
/** A worker without the route is nevertheless running: it is optional. */
const NO_ROUTE: ReadonlySet<number> = new Set([404, 405, 501]);
const isWell = (status: number): boolean => (status >= 200 && status < 300) || NO_ROUTE.has(status);

/** A worker speaks one of these. Another protocol is one more entry here, and its name in `workerProtocols`. */
export const workerDrivers: Readonly<Record<WorkerProtocol, WorkerDriver>> = {
  form: {
    upstream: (endpoint) => new FormUpstream(endpoint),
    async health(endpoint) {
      const status = await getStatus(new URL("/health", endpoint).href, HEALTH_TIMEOUT_MS);
      if (typeof status === "number") return isWell(status) ? "well" : "unwell";
      return status.code === "ETIMEDOUT" ? "silent" : "unwell";
    },
    async abort(endpoint) {
      const status = await getStatus(`${endpoint.replace(/\/$/, "")}/abort`, ABORT_TIMEOUT_MS);
      return typeof status === "number" && status >= 200 && status < 300;
    },
  },
};
