import type { Voice } from "../../../src/core/engine.ts";
import type { Capabilities } from "../../../src/models/capabilities.ts";
import { aboveTrained } from "../../../src/models/context.ts";
import type { ModelFacts } from "../../../src/models/facts.ts";
import type { FitSettings, MemoryEstimate } from "../../../src/models/fit.ts";
import { formatBytes, formatParameters } from "../../../src/models/format.ts";
import type { HoldingInstance } from "./inventory.ts";

/** What `show --json` prints. */
export interface ShownModel {
  readonly name: string;
  readonly aliases: readonly string[];
  readonly source: string;
  /** Program that runs it (`engine = "command"`), or null. */
  readonly program: string | null;
  readonly file: string | null;
  /** Names of all files of a model of several. */
  readonly files: readonly string[];
  readonly bytes: number | null;
  /** Null where the file was not pulled. */
  readonly sha256: string | null;
  readonly licence: string | null;
  /** Where the bytes came from. */
  readonly origin: string | null;
  readonly facts: ModelFacts | null;
  /** With those of the projector that it is loaded with. */
  readonly capabilities: Capabilities | null;
  /** What is wrong with the file, or null. */
  readonly problem: string | null;
  readonly loaded: boolean;
  /** The model file (TOML), or null where it is not configured. */
  readonly configFile: string | null;
  readonly load: FitSettings | null;
  readonly memory: MemoryEstimate | null;
  /** Instances of a running daemon, with what they were measured to take. */
  readonly instances: readonly HoldingInstance[];
  /** Providers that serve it; empty for a local model. */
  readonly providers: readonly string[];
  /** The voices of a speech model, the default first. */
  readonly voices?: readonly Voice[];
}

/** Voices that people are shown; `GET /v1/audio/voices` has all. */
const MAX_VOICES = 20;

/** The same for people: pairs of a word and what it is. */
export function showRows(model: ShownModel): string[][] {
  const { facts, load, memory } = model;
  const rows: [string, string | null][] = [
    ["name", [model.name, ...model.aliases].join(", ")],
    ["title", facts?.title ?? null],
    ["kind", facts?.kind ?? null],
    ["capabilities", model.capabilities === null ? null : capabilitiesText(model.capabilities)],
    ["architecture", facts?.architecture ?? null],
    ["parameters", facts === null ? null : formatParameters(facts.parameters)],
    ["quantization", facts?.quantization ?? null],
    ["layers", numberText(facts?.layers)],
    ["trained context", numberText(facts?.trainContextTokens, " tokens")],
    ["context", load === null ? null : contextText(load.contextTokens, facts?.trainContextTokens ?? null)],
    ["embedding length", numberText(facts?.embeddingLength)],
    ["chat template", facts === null ? null : facts.hasChatTemplate ? "in the file" : "none"],
    ["pooling", facts?.pooling ?? null],
    ["licence", model.licence],
    ["size", model.bytes === null ? null : `${formatBytes(model.bytes)} (${model.bytes} bytes)`],
    [model.providers.length > 0 ? "served by" : "source", model.source],
    ["came from", model.origin],
    ["program", model.program],
    [
      "file",
      model.file ??
        (model.program === null && model.providers.length === 0
          ? `not on this machine; \`assistant pull ${model.source}\` brings it`
          : null),
    ],
    ["files", model.files.length === 0 ? null : model.files.join(", ")],
    ["voices", voicesText(model.voices ?? [])],
    ["problem", model.problem],
    ["sha256", model.sha256],
    ["configured in", model.configFile ?? "nothing yet"],
    ["loaded", model.providers.length > 0 ? null : model.loaded ? "yes" : "no"],
    ["memory", memory === null || load === null ? null : memoryText(memory, load)],
    ...model.instances.map((instance): [string, string] => ["measured", measuredText(instance)]),
  ];
  return rows.filter((row): row is [string, string] => row[1] !== null);
}

/** `chat, gpus=2, tools, vision`: what it can do; what it cannot is left out. */
const capabilitiesText = ({ type = "", ...others }: Capabilities): string | null => {
  const offered = Object.entries(others)
    .filter(([key, value]) => value !== false && key !== type)
    .map(([key, value]) => (value === true ? key : `${key}=${value}`))
    .sort();
  return [type, ...offered].filter((text) => text !== "").join(", ") || null;
};

function voicesText(voices: readonly Voice[]): string | null {
  const shown = voices.slice(0, MAX_VOICES).map(({ id }) => id);
  const more = voices.length > shown.length ? ` and ${voices.length - shown.length} more` : "";
  return shown.length === 0 ? null : `${shown.join(", ")}${more}`;
}

const contextText = (contextTokens: number, trained: number | null): string =>
  trained === null || contextTokens <= trained
    ? `${contextTokens} tokens`
    : `${contextTokens} tokens: ${aboveTrained(contextTokens, trained)}`;

function memoryText({ weights, cache, compute, total }: MemoryEstimate, load: FitSettings): string {
  const place = (share: { hostBytes: number; gpuBytes: number }): string =>
    formatBytes(share.hostBytes + share.gpuBytes);
  const gpu = total.gpuBytes > 0 ? `, ${formatBytes(total.gpuBytes)} of it on the GPU` : "";
  return `about ${place(total)}${gpu}: weights ${place(weights)}, cache ${place(cache)} (${load.slots} × ${load.contextTokens} tokens), work ${place(compute)}`;
}

function measuredText({ id, memoryBytes, estimatedMemoryBytes }: HoldingInstance): string {
  const estimated = estimatedMemoryBytes === null ? "" : `, estimated ${formatBytes(estimatedMemoryBytes)}`;
  return `${memoryBytes === null ? "not yet" : formatBytes(memoryBytes)}${estimated} (${id})`;
}

const numberText = (value: number | null | undefined, unit = ""): string | null =>
  value === null || value === undefined ? null : `${value}${unit}`;
