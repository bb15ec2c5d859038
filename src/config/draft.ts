import type { ListenAddress } from "../core/config.ts";
import { type Capabilities, type ModelKind, type ModelSource, modelKinds } from "../core/model.ts";
import type { Provider } from "../core/provider.ts";
import type { Environment } from "./environment.ts";
import type { Findings, Place } from "./findings.ts";
import { addressText, bind, parseAddress, type RemotePolicy } from "./network.ts";
import { pathIn } from "./paths.ts";
import type { CommandKeys } from "./schema/model.ts";
import type { SectionKeys } from "./section.ts";
import { parseSource } from "./source.ts";

/** What reading models needs in addition to their files. */
export interface ReadContext {
  readonly env: Environment;
  readonly findings: Findings;
  readonly policy: RemotePolicy;
  readonly providers: readonly Provider[];
}

export interface PlacedName {
  readonly name: string;
  readonly place: Place;
}

export interface PlacedAddress {
  readonly address: ListenAddress;
  readonly place: Place;
}

/** A model before its name and addresses are known to be free. */
export interface ModelDraft {
  readonly kind: ModelKind;
  readonly name: PlacedName;
  readonly aliases: readonly PlacedName[];
  readonly source: ModelSource;
  /** Where the source is written. */
  readonly sourcePlace: Place;
  readonly keys: SectionKeys;
  /** The [command] section of its file. */
  readonly command?: CommandKeys;
  /** The file's table of capabilities. */
  readonly capabilities: Capabilities;
  /** The section, for messages about its keys. */
  readonly section: Place;
  /** Addresses of the entry or file; the chat and the embedding model of one entry share them. */
  readonly addresses: readonly PlacedAddress[];
  /** Equal for the models of one entry or file. */
  readonly group: string;
}

/** Placeholder for "no name" in files written for the reference system. */
export const UNNAMED = "default";

export const at = (place: Place, ...keys: (string | number)[]): Place => ({
  source: place.source,
  path: [...place.path, ...keys],
});

/** The section's own weights, or null if it names none or an invalid one (which is reported). */
export function ownSource({ env, findings }: ReadContext, keys: SectionKeys, section: Place): ModelSource | null {
  const { source = "", model_path: modelPath = "", engine } = keys;
  if (source !== "" && modelPath !== "") {
    findings.error(at(section, "model_path"), "`source` names the weights too; keep one of the two");
    return null;
  }
  const toPath = (written: string): string => pathIn(section.source.file, written, env);
  if (engine === "command") {
    const isPath = modelPath !== "" || /^[.~]{0,2}\//.test(source);
    return { type: "opaque", reference: isPath ? toPath(modelPath || source) : source };
  }
  if (modelPath !== "") return { type: "file", path: toPath(modelPath) };
  if (source === "") return null;
  const parsed = parseSource(source, toPath);
  if (typeof parsed !== "string") return parsed;
  findings.error(at(section, "source"), parsed);
  return null;
}

/** Where a section names its own weights. */
export const sourcePlaceOf = (keys: SectionKeys, section: Place): Place =>
  at(section, keys.model_path ? "model_path" : "source");

/** Keys that follow from a file's sections. */
const derived = new Set(["type", ...Object.values(modelKinds).flatMap(({ operations }) => operations)]);

/** A file's table of capabilities; what cannot be set there is left out, and reported. */
export function ownCapabilities(
  { findings }: Pick<ReadContext, "findings">,
  table: Capabilities | undefined,
  root: Place,
): Capabilities {
  const entries = Object.entries(table ?? {}).filter(([key]) => {
    if (!derived.has(key)) return true;
    findings.warning(
      at(root, "capabilities", key),
      "has no effect, because it follows from the models themselves; remove it",
    );
    return false;
  });
  return Object.fromEntries(entries);
}

/** Aliases of a section: `model_alias` and `aliases`, and `model_name` where the entry names the model otherwise. */
export function aliasesOf(keys: SectionKeys, section: Place, name: string, withModelName: boolean): PlacedName[] {
  const written: [string | undefined, Place][] = [
    ...(withModelName ? [[keys.model_name, at(section, "model_name")] as [string | undefined, Place]] : []),
    [keys.model_alias, at(section, "model_alias")],
    ...(keys.aliases ?? []).map((alias, index): [string, Place] => [alias, at(section, "aliases", index)]),
  ];
  const seen = new Set(["", name]);
  const found: PlacedName[] = [];
  for (const [alias, place] of written) {
    // In `aliases`, "default" is the name of the model that serves requests without one.
    const isUnnamed = alias === UNNAMED && place.path.at(-2) !== "aliases";
    if (alias === undefined || isUnnamed || seen.has(alias)) continue;
    seen.add(alias);
    found.push({ name: alias, place });
  }
  return found;
}

/**
 * An address of an entry or file, validated and narrowed; null if there is none or it cannot be used (which is
 * reported).
 */
export function ownAddress({ findings, policy }: ReadContext, written: string, place: Place): PlacedAddress | null {
  if (written === "") return null;
  const parsed = parseAddress(written);
  if (typeof parsed === "string") {
    findings.problem(place, parsed);
    return null;
  }
  if (parsed.port === 0) {
    findings.problem(place, `expected a port from 1 to 65535, found ${addressText(parsed)}`);
    return null;
  }
  const bound = bind(parsed, policy);
  if (bound.outcome === "refused") {
    findings.problem(place, bound.message);
    return null;
  }
  if (bound.message !== null) findings.warning(place, bound.message);
  return { address: bound.address, place };
}
