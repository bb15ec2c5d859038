import type { ModelKind, ModelSource } from "../core/model.ts";
import {
  aliasesOf,
  at,
  type ModelDraft,
  ownAddress,
  ownCapabilities,
  type PlacedAddress,
  type ReadContext,
  sourcePlaceOf,
  UNNAMED,
} from "./draft.ts";
import { dottedKey, noFile, type Place, placeText, type SourceFile } from "./findings.ts";
import { type ModelFileContent, readModelFile } from "./model-files.ts";
import { pathIn } from "./paths.ts";
import { sourceOf } from "./provider-model.ts";
import type { MainFile } from "./schema/main.ts";
import { MODEL_KINDS, sectionOf } from "./schema/model.ts";
import type { SectionKeys } from "./section.ts";

type Entry = NonNullable<MainFile["llama_servers"]>[number];

/** The keys of an entry that name weights. */
const pathKeys: Readonly<Partial<Record<ModelKind, "chat_model_path" | "embedding_model_path" | "tts_model_path">>> = {
  chat: "chat_model_path",
  embedding: "embedding_model_path",
  speech: "tts_model_path",
};

/** The models of the `[[llama_servers]]` entries, and the model files they have read. */
export async function draftsOfEntries(
  context: ReadContext,
  main: SourceFile,
  entries: readonly Entry[],
): Promise<{ drafts: ModelDraft[]; files: Set<string> }> {
  const drafts: ModelDraft[] = [];
  const files = new Set<string>();
  for (const [index, entry] of entries.entries()) {
    const place: Place = { source: main, path: ["llama_servers", index] };
    const file = entry.config_path ? pathIn(main.file, entry.config_path, context.env) : null;
    if (file !== null) files.add(file);
    const content = await settingsOf(context, place, file);
    if (content === null) continue;
    drafts.push(...draftsOfEntry(context, entry, place, content));
  }
  return { drafts, files };
}

/** The entry's model file; an empty one where it names none; null where it names one that cannot be used. */
async function settingsOf(context: ReadContext, place: Place, file: string | null): Promise<ModelFileContent | null> {
  if (file === null) return { source: noFile(place.source.file), keys: {} };
  const content = await readModelFile(context, file);
  if (content !== "missing") return content;
  const key = at(place, "config_path");
  context.findings.fileError(
    file,
    null,
    `there is no such file, but ${dottedKey(key.path)} at ${placeText(key)} names it; write it (\`assistant init --model-config\` shows one) or remove the key to use defaults`,
    ". The entry's models are left out",
  );
  return null;
}

function draftsOfEntry(
  context: ReadContext,
  entry: Entry,
  place: Place,
  { source, keys }: ModelFileContent,
): ModelDraft[] {
  const sections = MODEL_KINDS.flatMap((kind) => {
    const section: SectionKeys = keys[sectionOf[kind]] ?? {};
    const pathKey = pathKeys[kind];
    const written = pathKey === undefined ? undefined : entry[pathKey];
    const pathPlace = pathKey === undefined ? place : at(place, pathKey);
    // If the entry has no model file, messages about settings point at the entry itself.
    const sectionPlace: Place = entry.config_path ? { source, path: [sectionOf[kind]] } : pathPlace;
    const weights = weightsOf(context, written, pathPlace, section, sectionPlace);
    const sourcePlace = written ? pathPlace : sourcePlaceOf(section, sectionPlace);
    return weights === null ? [] : [{ kind, section, place: sectionPlace, weights, sourcePlace }];
  });
  if (sections.length === 0) {
    context.findings.mistake(
      place,
      "names no weights: write `chat_model_path`, `embedding_model_path` or `tts_model_path`",
    );
  }
  const addresses = sections.length === 0 ? [] : addressesOf(context, entry, place, { source, keys });
  const capabilities = ownCapabilities(context, keys.capabilities, { source, path: [] });
  return sections.map(({ kind, section, place: sectionPlace, weights, sourcePlace }, index) => {
    const given = section.model_name ?? UNNAMED;
    const named = given !== UNNAMED && given !== "";
    const first = index === 0;
    const name = first ? entry.name : named ? given : `${entry.name}-${sectionOf[kind]}`;
    return {
      kind,
      name: { name, place: first ? at(place, "name") : named ? at(sectionPlace, "model_name") : at(place, "name") },
      aliases: aliasesOf(section, sectionPlace, name, first),
      source: weights,
      sourcePlace,
      keys: section,
      ...(keys.command === undefined ? {} : { command: keys.command }),
      capabilities,
      section: sectionPlace,
      addresses,
      group: `entry ${place.path.join(".")}`,
    };
  });
}

function weightsOf(
  context: ReadContext,
  written: string | undefined,
  place: Place,
  section: SectionKeys,
  sectionPlace: Place,
): ModelSource | null {
  if (!written) return sourceOf(context, section, sectionPlace);
  const path = pathIn(place.source.file, written, context.env);
  const overridden = (["source", "model_path", "provider"] as const).find((key) => section[key]) ?? null;
  if (overridden !== null)
    context.findings.warning(
      at(sectionPlace, overridden),
      `has no effect, because the [[llama_servers]] entry names ${path}; remove one of the two`,
    );
  return section.engine === "command" ? { type: "opaque", reference: path } : { type: "file", path };
}

function addressesOf(
  context: ReadContext,
  entry: Entry,
  place: Place,
  { source, keys }: ModelFileContent,
): PlacedAddress[] {
  const host = context.policy.allowRemote ? "0.0.0.0" : "127.0.0.1";
  const own = entry.port === undefined ? null : ownAddress(context, `${host}:${entry.port}`, at(place, "port"));
  const ofFile = ownAddress(context, keys.server?.socket_addr ?? "", { source, path: ["server", "socket_addr"] });
  if (own !== null && ofFile !== null && own.address.port === ofFile.address.port) return [ofFile];
  return [own, ofFile].filter((address) => address !== null);
}
