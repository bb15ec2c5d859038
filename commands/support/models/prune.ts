import { formatBytes } from "../../../src/models/format.ts";
import { findLeftovers, type Leftover, removeLeftover } from "../../../src/models/leftovers.ts";
import type { CommandContext } from "../cli/context.ts";
import { modelStore } from "../stores.ts";
import { takeInventory } from "./inventory.ts";
import { planRemoval, type Removal, removeAll } from "./remove.ts";

export interface PrunePlan {
  readonly leftovers: readonly Leftover[];
  readonly models: readonly Removal[];
  readonly bytes: number;
}

export interface Pruned extends PrunePlan {
  readonly deleted: boolean;
}

/**
 * What may be deleted. With `unused`, throws `config_invalid` where the configuration cannot be read: all models would
 * seem unused.
 */
export async function planPrune(context: CommandContext, { unused }: { readonly unused: boolean }): Promise<PrunePlan> {
  const leftovers = await findLeftovers(modelStore(context.paths));
  const models = unused ? await planRemoval(await unusedModels(context), context) : [];
  const bytes = [...leftovers, ...models].reduce((sum, { bytes: size }) => sum + size, 0);
  return { leftovers, models, bytes };
}

async function unusedModels(context: CommandContext): Promise<string[]> {
  const { entries, mistake } = await takeInventory(context);
  if (mistake !== null) throw mistake;
  // A projector of a stored model may be all that another model's file names of it.
  const projectors = new Set(entries.flatMap(({ config }) => config?.load.projectorPath ?? []));
  return entries.flatMap(({ config, stored, loaded }) =>
    config === null && stored !== null && !loaded && !stored.files.some((file) => projectors.has(file))
      ? [stored.name]
      : [],
  );
}

export async function prune({ leftovers, models }: PrunePlan, context: CommandContext): Promise<void> {
  for (const leftover of leftovers) await removeLeftover(modelStore(context.paths), leftover);
  await removeAll(models, context, () => {});
}

export const prunedText = ({ leftovers, models }: PrunePlan): string =>
  [
    ...leftovers.map(({ name, kind, bytes }) =>
      kind === "download"
        ? `unfinished download of ${name} (${formatBytes(bytes)})`
        : `manifest of ${name}, whose file is gone`,
    ),
    ...models.map(({ name, bytes }) => `model ${name} (${formatBytes(bytes)}), not configured`),
  ].join("\n");
