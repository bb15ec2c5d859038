import type { InfoResponse, ModelInfo } from "../api/assistant-service.ts";
import { type Capabilities, capabilitiesOfKind, isModelKind, type ModelSpec } from "../core/model.ts";
import { servedElsewhere } from "../core/remote.ts";

/** The last report of one machine. */
export interface NodeModels {
  readonly name: string;
  readonly info: InfoResponse | null;
}

/**
 * The models that other machines have and this one's files do not name, each once, with the machines that have it.
 * `taken` are the names and aliases of this machine.
 */
export function remoteModels(nodes: readonly NodeModels[], taken: ReadonlySet<string>): ModelSpec[] {
  const found = new Map<string, { readonly info: ModelInfo; readonly nodes: string[] }>();
  for (const { name: node, info } of nodes) {
    const details = new Map(info?.modelDetails.map((detail) => [detail.name, detail]));
    for (const name of info?.models ?? []) {
      if (taken.has(name)) continue;
      const known = found.get(name);
      if (known === undefined) found.set(name, { info: details.get(name) ?? byName(name), nodes: [node] });
      else known.nodes.push(node);
    }
  }
  return [...found.values()].map(({ info, nodes: owners }) => specOf(info, owners, taken));
}

/** A server that tells names alone: what the name says has to do. */
const byName = (name: string): ModelInfo => ({
  name,
  aliases: [],
  kind: /embed|minilm|\bbge\b|\be5\b/i.test(name) ? "embedding" : "chat",
  contextTokens: 4096,
  slots: 4,
  inFlight: 0,
  queued: 0,
  loaded: true,
  capabilities: "",
});

/** Most that a machine may tell of one model. */
const MAX_CAPABILITIES = 256;

/** The reported capabilities of a model, as far as they are valid; undefined: none. */
export function capabilitiesTold({ capabilities: text }: Pick<ModelInfo, "capabilities">): Capabilities | undefined {
  if (text === "") return undefined;
  try {
    const told: unknown = JSON.parse(text);
    if (typeof told !== "object" || told === null) return undefined;
    const entries = Object.entries(told).filter(([, value]) => ["string", "number", "boolean"].includes(typeof value));
    return Object.fromEntries(entries.slice(0, MAX_CAPABILITIES)) as Capabilities;
  } catch {
    return undefined;
  }
}

function specOf(info: ModelInfo, nodes: readonly string[], taken: ReadonlySet<string>): ModelSpec {
  const kind = isModelKind(info.kind) ? info.kind : "chat";
  return servedElsewhere({
    name: info.name,
    aliases: info.aliases.filter((alias) => !taken.has(alias)),
    kind,
    // The type of a handler is what it says it is.
    capabilities: { ...capabilitiesOfKind(kind), ...capabilitiesTold(info) },
    // Never used: nothing is started for a model with nodes.
    source: { type: "catalog", name: info.name },
    contextTokens: info.contextTokens,
    slots: info.slots,
    nodes,
    fingerprint: `remote ${info.name}`,
  });
}
