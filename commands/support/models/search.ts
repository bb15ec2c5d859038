import type { Hardware } from "../../../src/core/device.ts";
import { probeHardware } from "../../../src/fleet/hardware.ts";
import { catalog } from "../../../src/models/catalog.ts";
import { formatBytes, formatParameters } from "../../../src/models/format.ts";
import { type Fit, fitHere } from "../../../src/models/presets/compatibility.ts";
import type { Preset } from "../../../src/models/presets/preset.ts";
import { listModels } from "../../../src/models/store.ts";
import type { CommandContext } from "../cli/context.ts";
import { modelStore } from "../stores.ts";
import { hubOf, presetsOf } from "./presets.ts";

/** A model that can be pulled or registered, as `search --json` prints it. Null: not known. */
export interface FoundModel {
  /** What `pull` takes; of a cloud model what `register` takes. */
  readonly name: string;
  readonly type: "chat" | "embedding" | "speech" | "cloud" | "hub";
  /** Repository of the hub, or null. */
  readonly repository: string | null;
  /** The service of a cloud model, or null. */
  readonly provider: string | null;
  readonly parameters: number | null;
  readonly contextLength: number | null;
  readonly licence: string | null;
  /** Where this machine has the memory for it. */
  readonly fits: Fit | null;
  /** The quantization to take, where one fits. */
  readonly quantization: string | null;
  /** Whether its weights are here. */
  readonly isPulled: boolean;
  /** Of its files, where they are here. */
  readonly bytes: number | null;
  /** Access must be requested at the hub. */
  readonly isGated: boolean;
}

const MAX_FROM_HUB = 20;

/** What matches every word of `text`: of the presets, and with `hub` of the hub too. */
export async function searchModels(
  text: string,
  { hub }: { readonly hub: boolean },
  context: CommandContext,
): Promise<readonly FoundModel[]> {
  const [presets, hardware, stored, onHub] = await Promise.all([
    presetsOf(context),
    probeHardware(context.env),
    listModels(modelStore(context.paths)),
    hub ? hubOf(context).search(text, MAX_FROM_HUB) : [],
  ]);
  const here = (name: string): Pick<FoundModel, "isPulled" | "bytes"> => {
    const found = stored.find((model) => model.name === name);
    return { isPulled: found !== undefined, bytes: found?.bytes ?? null };
  };
  const words = text
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const matches = (found: FoundModel): boolean => {
    const { name, type, repository, provider, licence } = found;
    const all = [name, type, repository, provider, licence].join(" ").toLowerCase();
    return words.every((word) => all.includes(word));
  };
  const ofCatalog = catalog.filter(({ name }) => presets.find(name) === null);
  const known = [
    ...(["local", "embedding", "cloud"] as const)
      .flatMap((kind): readonly Preset[] => presets.ofKind(kind))
      .map((preset) => ofPreset(preset, hardware, here(preset.name))),
    ...ofCatalog.map(
      ({ name, kind: type, licence }): FoundModel => ({
        ...nothingKnown,
        name,
        type,
        licence,
        ...here(name),
      }),
    ),
  ].filter(matches);
  const fromHub = onHub.map(({ repo, parameters, contextLength, licence, isGated }): FoundModel => {
    const sizeB = parameters === null ? null : parameters / 1e9;
    const { fit, quantization } = sizeB === null ? unknownFit : fitHere({ name: repo, sizeB, vramMib: {} }, hardware);
    return {
      ...nothingKnown,
      name: `hf:${repo}`,
      type: "hub",
      repository: repo,
      parameters,
      contextLength,
      licence,
      fits: fit,
      quantization,
      isGated,
    };
  });
  return [...known, ...fromHub];
}

const nothingKnown = {
  repository: null,
  provider: null,
  parameters: null,
  contextLength: null,
  fits: null,
  quantization: null,
  isPulled: false,
  bytes: null,
  isGated: false,
};
const unknownFit = { fit: null, quantization: null };

function ofPreset(preset: Preset, hardware: Hardware, here: Pick<FoundModel, "isPulled" | "bytes">): FoundModel {
  const { name } = preset;
  if (preset.kind === "cloud")
    return { ...nothingKnown, name, type: "cloud", provider: preset.provider, licence: null };
  const { repo: repository, licence, contextLength } = preset;
  const base = { ...nothingKnown, name, repository, licence, contextLength, ...here };
  if (preset.kind === "embedding") return { ...base, type: "embedding" };
  const { fit: fits, quantization } = fitHere(preset, hardware);
  return { ...base, type: "chat", parameters: preset.sizeB * 1e9, fits, quantization };
}

/** The cells of a table, titles first. */
export function searchRows(found: readonly FoundModel[]): string[][] {
  const rows = found.map((model) => [
    model.name,
    model.type,
    model.parameters === null ? "-" : formatParameters(model.parameters),
    model.bytes === null ? "-" : formatBytes(model.bytes),
    model.contextLength === null ? "-" : String(model.contextLength),
    model.licence ?? model.provider ?? "-",
    model.fits ?? "-",
    model.quantization ?? "-",
    model.isPulled ? "pulled" : model.isGated ? "gated" : "",
  ]);
  return [["NAME", "TYPE", "PARAMETERS", "SIZE", "CONTEXT", "LICENCE", "FITS", "QUANT", ""], ...rows];
}
