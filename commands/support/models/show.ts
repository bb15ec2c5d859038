import { basename } from "node:path";
import type { ModelElsewhere } from "../../../src/api/models.ts";
import type { DaemonStatus } from "../../../src/api/status.ts";
import type { Voice } from "../../../src/core/engine.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import type { ModelSpec } from "../../../src/core/model.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import type { EngineSet } from "../../../src/engines/index.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { catalogEntry } from "../../../src/models/catalog.ts";
import { companionBytes } from "../../../src/models/companions.ts";
import { estimateApart } from "../../../src/models/estimates.ts";
import type { FitSettings, MemoryEstimate, MemoryShare } from "../../../src/models/fit.ts";
import { elsewhereIn } from "../../../src/registry/elsewhere.ts";
import {
  capabilitiesIn,
  type InventoryEntry,
  isHolding,
  programOf,
  providersOf,
  weightsOf,
} from "../../../src/registry/inventory.ts";
import type { CommandContext } from "../cli/context.ts";
import { enginesOf } from "../engines.ts";
import { headerCache } from "../stores.ts";
import { elsewhereNamed } from "./elsewhere.ts";
import { type Inventory, takeInventory } from "./inventory.ts";
import { loadOf } from "./load-settings.ts";
import { presetsOf } from "./presets.ts";
import type { ShownModel } from "./shown.ts";

/** What a pull would understand, and no name is. */
const REFERENCE = /[/:]/;

/**
 * Everything known about a configured, stored or catalog model, or a reference to the hub, a URL or the like. Throws
 * `model_not_found`, and for references the same as `pull`.
 */
export async function shownModel(name: string, context: CommandContext): Promise<ShownModel> {
  const hardware = await probeHardware(context.env);
  const inventory = await takeInventory(context, hardware);
  const { entries, config, status } = inventory;
  const entry =
    entries.find((known) => known.name === name || known.aliases.includes(name)) ??
    entries.find((known) => known.stored?.name === name);
  if (entry === undefined) return await ofOthers(name, inventory, context);
  const headers = headerCache(context.paths);
  const { facts, problem } = await weightsOf(entry, headers.read);
  const capabilities = await capabilitiesIn(entry, facts, headers.read);
  await headers.save();
  const load = facts === null ? null : await loadOf(entry.config, facts, { hardware, config, context });
  const files = entry.stored?.files ?? [];
  const manifest = entry.stored?.manifest ?? null;
  return {
    name: entry.name,
    aliases: entry.aliases,
    source: entry.source,
    program: programOf(entry.config),
    file: entry.file,
    files: files.length > 1 ? files.map((file) => basename(file)) : [],
    bytes: entry.stored?.bytes ?? facts?.bytes ?? null,
    sha256: manifest?.sha256 ?? null,
    licence: manifest?.licence ?? facts?.licence ?? null,
    origin: manifest?.source ?? null,
    facts,
    capabilities,
    problem,
    loaded: entry.loaded,
    configFile: entry.config?.file ?? null,
    load,
    memory: load === null || entry.file === null ? null : await memoryOf(entry.file, load, entry.config),
    instances: instancesOf(entry.name, status),
    providers: providersOf(entry.config),
    voices: await voicesOf(entry, enginesOf(context, config)),
  };
}

/** The instances that hold the model's weights, with what they take on their devices. */
const instancesOf = (name: string, status: DaemonStatus | null): ShownModel["instances"] =>
  (status?.instances ?? [])
    .filter((instance) => instance.model === name && isHolding(instance))
    .map(({ id, memoryBytes, estimatedMemoryBytes }) => ({ id, memoryBytes, estimatedMemoryBytes }));

/** The voices of a speech model; none if its voice cannot be read, which `problem` explains. */
async function voicesOf({ config, file }: InventoryEntry, engines: EngineSet): Promise<readonly Voice[]> {
  if (config?.engine !== "speech") return [];
  return (
    (await engines
      .get(config.engine)
      .voices?.(config, file ?? "")
      .catch(() => [])) ?? []
  );
}

/** With the projector and the adapters, which are loaded whole. */
async function memoryOf(file: string, load: FitSettings, config: ModelSpec | null): Promise<MemoryEstimate | null> {
  const estimate = await estimateApart(file, load, process.execPath);
  if (estimate === null) return null;
  const more = config === null ? 0 : await companionBytes(config.load);
  const added = load.gpuLayers > 0 ? { hostBytes: 0, gpuBytes: more } : { hostBytes: more, gpuBytes: 0 };
  const plus = ({ hostBytes, gpuBytes }: MemoryShare): MemoryShare => ({
    hostBytes: hostBytes + added.hostBytes,
    gpuBytes: gpuBytes + added.gpuBytes,
  });
  return { ...estimate, weights: plus(estimate.weights), total: plus(estimate.total) };
}

async function ofOthers(name: string, { entries, status }: Inventory, context: CommandContext): Promise<ShownModel> {
  const entry = catalogEntry(name) ?? (await ofPreset(name, context));
  if (entry === null) {
    const elsewhere = elsewhereNamed(status === null ? [] : elsewhereIn(status), name);
    if (elsewhere?.provider != null) return ofProvider(elsewhere, elsewhere.provider);
    const [node] = elsewhere?.nodes ?? [];
    if (elsewhere !== undefined && node !== undefined)
      throw new AssistantError(
        "model_not_found",
        `The model ${JSON.stringify(name)} is not on this machine; it is served by ${elsewhere.nodes.join(", ")}.`,
        {
          param: name,
          remedy: `\`assistant run ${name}\` uses it there, \`assistant pull ${elsewhere.name} --from ${node}\` brings it here.`,
        },
      );
    if (REFERENCE.test(name)) {
      const { shownRemote } = await import("./show-remote.ts");
      return await shownRemote(name, context, { name: null, allowPrivate: false });
    }
    const near = nearestNames(name, new Set(entries.map((known) => known.name)));
    throw new AssistantError(
      "model_not_found",
      `There is no model ${JSON.stringify(name)}: it is neither configured, nor pulled, nor known by name.`,
      {
        param: name,
        remedy: near.length > 0 ? `Did you mean ${near.join(" or ")}?` : "`assistant list` shows the models.",
      },
    );
  }
  const { bytes, sha256, licence } = entry;
  return { ...NOTHING_HERE, name: entry.name, source: entry.name, bytes, sha256, licence };
}

/** What is known of a preset before it is pulled: sizes and digests are the hub's to say. */
async function ofPreset(
  name: string,
  context: CommandContext,
): Promise<{ name: string; bytes: null; sha256: null; licence: string | null } | null> {
  const preset = (await presetsOf(context)).find(name);
  if (preset === null || preset.kind === "cloud") return null;
  return { name: preset.name, bytes: null, sha256: null, licence: preset.licence };
}

const ofProvider = ({ name }: ModelElsewhere, provider: string): ShownModel => ({
  ...NOTHING_HERE,
  name,
  source: `${provider}: ${name.slice(provider.length + 1)}`,
  providers: [provider],
});

const NOTHING_HERE = {
  aliases: [],
  program: null,
  file: null,
  files: [],
  bytes: null,
  sha256: null,
  licence: null,
  origin: null,
  facts: null,
  capabilities: null,
  problem: null,
  loaded: false,
  configFile: null,
  load: null,
  memory: null,
  instances: [],
  providers: [],
} as const;
