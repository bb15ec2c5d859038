import { networkInterfaces } from "node:os";
import { Membership } from "../cluster/membership.ts";
import { isWildcard, parseAddress } from "../config/network.ts";
import { systemClock } from "../core/clock.ts";
import type { ListenAddress } from "../core/config.ts";
import { version } from "../core/package.ts";
import type { Stores } from "../store/stores.ts";
import type { DaemonLog } from "../telemetry/log.ts";
import type { Components } from "./components.ts";
import type { Current } from "./current.ts";

/** This machine's place in the cluster; null: a single daemon. `grpc`: its current address. */
export function createMembership(
  { config }: Pick<Current, "config">,
  { remotes }: Pick<Components, "remotes">,
  { records: store }: Pick<Stores, "records">,
  log: DaemonLog,
  { grpc, onDrained }: { readonly grpc: () => string | null; onDrained(isDrained: boolean): void },
): Membership | null {
  const { cluster } = config;
  if (cluster === null) return null;
  return new Membership({
    store,
    clock: systemClock,
    log: log.part("cluster"),
    nodeId: remotes.nodeId,
    version,
    self: () => ({ ...cluster, address: cluster.advertise ?? reachable(grpc()) }),
    onChange: (members, isDrained) => {
      remotes.join(members);
      onDrained(isDrained);
    },
  });
}

/** The address at which others reach a service that listens there; null: there is none. */
function reachable(listening: string | null): ListenAddress | null {
  const address = listening === null ? "" : parseAddress(listening);
  if (typeof address === "string") return null;
  return isWildcard(address.host) ? { ...address, host: ownAddress() } : address;
}

/** Of the first network other than loopback; without one, there are no other machines either. */
const ownAddress = (): string =>
  Object.values(networkInterfaces())
    .flat()
    .find((network) => network?.internal === false && network.family === "IPv4")?.address ?? "127.0.0.1";
