import { createHash } from "node:crypto";
import type { InstanceStatus } from "../../../api/status.ts";
import type { JsonObject } from "../../../core/inference.ts";
import { type ModelSpec, samplingFields } from "../../../core/model.ts";
import type { ModelDetails } from "../../../registry/library.ts";
import { displayed } from "./names.ts";

/** "Never" as a date for clients. */
const NEVER_MS = 100 * 365 * 24 * 3_600_000;

/** A model in the list of `/api/tags`. `knownSince`: epoch milliseconds. */
export const tagOf = (model: ModelSpec, details: ModelDetails, knownSince: number): JsonObject => ({
  name: displayed(model.name, details.reference),
  model: displayed(model.name, details.reference),
  ...elsewhere(model),
  modified_at: new Date(details.modifiedAt ?? knownSince).toISOString(),
  size: details.bytes,
  digest: digestOf(model, details),
  details: detailsOf(model, details),
});

/** A model in the list of `/api/ps`. */
export function runningOf(
  model: ModelSpec,
  details: ModelDetails,
  instances: readonly InstanceStatus[],
  now: number,
): JsonObject {
  const bytes = ({ memoryBytes, estimatedMemoryBytes }: InstanceStatus): number =>
    memoryBytes ?? estimatedMemoryBytes ?? 0;
  const sum = (of: readonly InstanceStatus[]): number => of.reduce((total, each) => total + bytes(each), 0);
  // The last instance to stop keeps the model loaded; one that is busy, or pinned, has no expiry.
  const stops = instances.map(({ idleStopAt }) => idleStopAt ?? now + NEVER_MS);
  return {
    name: displayed(model.name, details.reference),
    model: displayed(model.name, details.reference),
    size: sum(instances),
    digest: digestOf(model, details),
    details: detailsOf(model, details),
    expires_at: new Date(Math.max(...stops)).toISOString(),
    size_vram: sum(instances.filter(({ device }) => device !== "cpu")),
    context_length: instances[0]?.contextTokens ?? model.load.contextTokens,
  };
}

export const detailsOf = ({ source, nodes }: ModelSpec, { facts }: ModelDetails): JsonObject => ({
  parent_model: "",
  format: source.type === "provider" || nodes !== undefined ? "" : "gguf",
  family: facts?.architecture ?? "",
  families: facts === null ? null : [facts.architecture],
  parameter_size: facts === null ? "" : shortNumber(facts.parameters),
  quantization_level: facts?.quantization ?? "",
});

/** As Ollama names them. */
export function capabilitiesOf({ kind, capabilities }: ModelSpec): readonly string[] {
  if (kind === "embedding") return ["embedding"];
  if (kind !== "chat") return [kind];
  const named = { vision: "vision", audio: "audio", tools: "tools", infill: "insert", reasoning: "thinking" };
  const has = Object.entries(named).filter(([key]) => capabilities[key] === true);
  return ["completion", ...has.map(([, name]) => name)];
}

/** A model on another machine or of a service: clients neither load it nor show its size. */
export function elsewhere({ name, nodes, source }: ModelSpec): JsonObject {
  if (nodes !== undefined) return { remote_model: name, remote_host: nodes.join(", ") };
  const [offer] = source.type === "provider" ? source.offers : [];
  return offer === undefined ? {} : { remote_model: offer.model, remote_host: offer.provider };
}

/**
 * Clients show the first twelve digits, and fail without them: if the weights' digest is unknown, it is that of the
 * model's settings.
 */
function digestOf({ fingerprint }: ModelSpec, { sha256 }: ModelDetails): string {
  return sha256 ?? createHash("sha256").update(fingerprint).digest("hex");
}

/** Settings of a model as the parameters of a Modelfile. */
export function parametersOf({
  sampling,
  load,
}: ModelSpec): readonly (readonly [name: string, value: string | number])[] {
  const values: Readonly<Record<string, string | number | null>> = {
    num_ctx: load.contextTokens === 0 ? null : load.contextTokens,
    num_predict: sampling.maxTokens < 0 ? null : sampling.maxTokens,
    ...samplingFields(sampling),
  };
  const set = Object.entries(values).filter((entry): entry is [string, string | number] => entry[1] !== null);
  return [...set, ...sampling.stop.map((text) => ["stop", JSON.stringify(text)] as const)];
}

const UNITS: readonly (readonly [size: number, unit: string])[] = [
  [1e12, "T"],
  [1e9, "B"],
  [1e6, "M"],
  [1e3, "K"],
];

/** "134.52M", "7.6B": Ollama's format of parameter counts. */
function shortNumber(value: number): string {
  const [size, unit] = UNITS.find(([least]) => value >= least) ?? [1, ""];
  const scaled = value / size;
  return `${size === 1e6 ? scaled.toFixed(2) : scaled.toFixed(1)}${unit}`;
}
