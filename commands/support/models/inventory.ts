import type { DaemonStatus, InstanceStatus } from "../../../src/api/status.ts";
import { connectIfAnswering } from "../../../src/client/daemon-client.ts";
import { loadConfig } from "../../../src/config/load.ts";
import type { Config } from "../../../src/core/config.ts";
import type { Hardware } from "../../../src/core/device.ts";
import { type AssistantError, isAssistantError } from "../../../src/core/errors.ts";
import { type InventoryEntry, inventoryOf, loadedIn } from "../../../src/registry/inventory.ts";
import type { CommandContext } from "../cli/context.ts";
import { modelStore } from "../stores.ts";

export interface Inventory {
  readonly entries: readonly InventoryEntry[];
  readonly config: Config | null;
  /** What keeps the configuration from being read. */
  readonly mistake: AssistantError | null;
  /** Of the running daemon; null where none answers. */
  readonly status: DaemonStatus | null;
}

/**
 * Everything that is configured or stored, configured ones first. A broken configuration hides no file. Settings that a
 * model's file leaves open are the daemon's own only with `hardware`, since they depend on cores and GPUs.
 */
export async function takeInventory(context: CommandContext, hardware?: Hardware): Promise<Inventory> {
  const [connection, read] = await Promise.all([connectIfAnswering(context.paths), configOf(context, hardware)]);
  const status = connection?.status ?? null;
  const loaded = loadedIn(status?.instances ?? []);
  return { entries: await inventoryOf(read.config?.models ?? [], modelStore(context.paths), loaded), status, ...read };
}

/** An instance that holds the model's weights, with what it takes on its device. */
export type HoldingInstance = Pick<InstanceStatus, "id" | "memoryBytes" | "estimatedMemoryBytes">;

async function configOf(
  context: CommandContext,
  hardware: Hardware | undefined,
): Promise<Pick<Inventory, "config" | "mistake">> {
  try {
    return {
      config: await loadConfig({ env: context.env, configFile: context.paths.configFile, hardware }),
      mistake: null,
    };
  } catch (error) {
    if (!isAssistantError(error) || error.code !== "config_invalid") throw error;
    return { config: null, mistake: error };
  }
}
