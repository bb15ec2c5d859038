import type { InstanceSnapshot } from "../core/instance.ts";
import { nvidiaUse } from "./nvidia.ts";
import { groupOf } from "./process-group.ts";
import { groupUse } from "./vitals.ts";

/** Memory that a running instance uses on its device. */
export interface InstanceUse {
  readonly bytes: number;
  /**
   * The part of it that is missing from the device's free memory: less than `bytes` if weights are mapped pages of a
   * file.
   */
  readonly heldBytes: number;
}

type Environment = Readonly<Record<string, string | undefined>>;
type Running = Pick<InstanceSnapshot, "id" | "pid" | "device">;

const TIMEOUT_MS = 2_000;

/**
 * Memory of every running instance, by id: resident memory on the CPU, on a GPU what its driver reports for the
 * instance's processes. Instances of unknown use are omitted. Never rejects.
 */
export async function measureUse(
  instances: readonly Running[],
  env: Environment,
): Promise<ReadonlyMap<string, InstanceUse>> {
  const running = instances.filter((instance): instance is Running & { readonly pid: number } => instance.pid !== null);
  const onNvidia = running.filter(({ device }) => device.startsWith("cuda:"));
  const [byGroup, host] = await Promise.all([
    onNvidia.length > 0 ? nvidiaUseByGroup(env) : null,
    Promise.all(
      running
        .filter(({ device }) => sharesHostMemory(device))
        .map(async (instance) => [instance.id, await groupUse(instance.pid)] as const),
    ),
  ]);
  const use = new Map<string, InstanceUse>();
  for (const [id, group] of host)
    if (group !== null) use.set(id, { bytes: group.memoryBytes, heldBytes: group.heldBytes });
  for (const { id, pid } of onNvidia) {
    const bytes = byGroup?.get(pid);
    if (bytes !== undefined) use.set(id, { bytes, heldBytes: bytes });
  }
  return use;
}

export const sharesHostMemory = (device: string): boolean => device === "cpu" || device.startsWith("metal:");

/** An engine leads its process group, so its child processes count as part of it. */
async function nvidiaUseByGroup(env: Environment): Promise<ReadonlyMap<number, number> | null> {
  const byPid = await nvidiaUse(env, TIMEOUT_MS);
  if (byPid === null) return null;
  const groups = await Promise.all(
    [...byPid].map(async ([pid, bytes]) => [(await groupOf(pid)) ?? pid, bytes] as const),
  );
  const byGroup = new Map<number, number>();
  for (const [group, bytes] of groups) byGroup.set(group, (byGroup.get(group) ?? 0) + bytes);
  return byGroup;
}
