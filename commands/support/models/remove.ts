import { rm } from "node:fs/promises";
import { join } from "node:path";
import { connectIfRunning } from "../../../src/client/daemon-client.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import { catalogEntry } from "../../../src/models/catalog.ts";
import { findLeftovers, type Leftover } from "../../../src/models/leftovers.ts";
import { removeModel, type StoredModel } from "../../../src/models/store.ts";
import type { InventoryEntry } from "../../../src/registry/inventory.ts";
import type { CommandContext } from "../cli/context.ts";
import { modelStore } from "../stores.ts";
import { type Inventory, takeInventory } from "./inventory.ts";
import { presetsOf } from "./presets.ts";

/** A model that may be deleted. */
export interface Removal {
  readonly name: string;
  readonly file: string;
  readonly bytes: number;
  /** Model files (TOML) that still name it. */
  readonly configFiles: readonly string[];
  /** Names of the configured models that use it. */
  readonly users: readonly string[];
  /** Those among them whose model file says where to pull the weights from again. */
  readonly pullable: readonly string[];
}

/**
 * What `rm` of these names would delete. Throws, before anything is deleted: `model_not_found`, `model_in_use` for
 * weights that an engine holds, `usage` for weights outside the store, which are the user's own.
 */
export async function planRemoval(names: readonly string[], context: CommandContext): Promise<readonly Removal[]> {
  // One that runs and does not answer may hold any of them.
  await connectIfRunning(context.paths);
  const [inventory, presets, leftovers] = await Promise.all([
    takeInventory(context),
    presetsOf(context),
    findLeftovers(modelStore(context.paths)),
  ]);
  return [...new Set(names)].map((name) => {
    const entry = find(name, inventory, leftovers);
    const { stored } = entry;
    if (stored === null) throw notOurs(entry);
    const users = inventory.entries.filter(({ file }) => file === stored.file);
    const holder = users.find(({ loaded }) => loaded);
    if (holder !== undefined) {
      throw new AssistantError("model_in_use", `${name} is loaded by the daemon.`, {
        param: name,
        remedy: `Stop it with \`assistant stop ${holder.name}\`, then remove it.`,
      });
    }
    const configured = users.flatMap(({ config }) => config ?? []);
    return {
      name: stored.name,
      file: stored.file,
      bytes: stored.bytes,
      configFiles: configured.map((config) => config.file),
      pullable: configured
        .filter(
          ({ source }) =>
            source.type === "huggingface" ||
            (source.type === "catalog" &&
              (catalogEntry(source.name) !== null ||
                ![null, "cloud"].includes(presets.find(source.name)?.kind ?? null))),
        )
        .map(({ name: user }) => user),
      users: configured.map((config) => config.name),
    };
  });
}

/** The effect on the models whose weights are deleted, one line each. Pure. */
export function removalRemarks({ name, users, configFiles, pullable }: Removal): string[] {
  return users.map((user, index) => {
    const next = pullable.includes(user)
      ? `\`assistant run ${user}\` pulls it again`
      : `requests to ${user} fail until ${name} is pulled again under that name`;
    return `${configFiles[index]} still refers to ${name}; ${next}. Delete the file if it is no longer needed.`;
  });
}

/**
 * `onRemoved` is called for each when its weights are gone: of several, one that cannot be deleted leaves the later
 * ones.
 */
export async function removeAll(
  removals: readonly Removal[],
  context: CommandContext,
  onRemoved: (removal: Removal) => void,
): Promise<void> {
  for (const removal of removals) {
    const { name, users } = removal;
    if (await removeModel(modelStore(context.paths), name)) onRemoved(removal);
    // Conversations with the model that are kept on disk go with it.
    for (const user of users) await rm(join(context.paths.dataDir, "slots", user), { recursive: true, force: true });
  }
}

/** The model of the store with a name or alias. Throws like `planRemoval`. */
export async function storedNamed(name: string, context: CommandContext): Promise<StoredModel> {
  const entry = find(name, await takeInventory(context));
  if (entry.stored === null) throw notOurs(entry);
  return entry.stored;
}

function find(name: string, { entries }: Inventory, leftovers: readonly Leftover[] = []): InventoryEntry {
  const found =
    entries.find((entry) => entry.stored?.name === name) ??
    entries.find((entry) => entry.name === name || entry.aliases.includes(name));
  if (found !== undefined) return found;
  if (leftovers.some((leftover) => leftover.kind === "download" && leftover.name === name))
    throw new AssistantError("model_not_found", `The download of ${JSON.stringify(name)} was not finished.`, {
      param: name,
      remedy: "`assistant prune` deletes the partial download; another pull resumes it.",
    });
  const near = nearestNames(name, new Set(entries.map((entry) => entry.name)));
  throw new AssistantError("model_not_found", `This machine has no model ${JSON.stringify(name)}.`, {
    param: name,
    remedy: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "`assistant list` shows the models.",
  });
}

function notOurs(entry: InventoryEntry): AssistantError {
  if (entry.file === null)
    return new AssistantError("model_not_pulled", `The weights of ${entry.name} are not on this machine.`, {
      param: entry.name,
      remedy: `Its configuration is ${entry.config?.file}.`,
    });
  return new AssistantError("usage", `${entry.name} uses ${entry.file}, which was not pulled; it is not deleted.`, {
    param: entry.name,
    remedy: "Delete the file yourself if it is no longer needed.",
  });
}
