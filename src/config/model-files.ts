import { readdir, readlink } from "node:fs/promises";
import path from "node:path";
import {
  aliasesOf,
  at,
  type ModelDraft,
  ownAddress,
  ownCapabilities,
  type PlacedName,
  type ReadContext,
  sourcePlaceOf,
  UNNAMED,
} from "./draft.ts";
import type { Place, SourceFile } from "./findings.ts";
import { sourceOf } from "./provider-model.ts";
import { schemaNode } from "./schema/kit.ts";
import { MODEL_KINDS, ModelFile, sectionOf } from "./schema/model.ts";
import type { SectionKeys } from "./section.ts";
import { readToml, UnreadableFile } from "./toml.ts";
import { validate } from "./validate.ts";

export interface ModelFileContent {
  readonly source: SourceFile;
  readonly keys: ModelFile;
}

const LEFT_OUT = "; the models of this file are left out";

/** Reads and validates one model file. Null if it cannot be used, which is reported; "missing" if there is none. */
export async function readModelFile(
  { findings }: ReadContext,
  file: string,
): Promise<ModelFileContent | "missing" | null> {
  try {
    const source = await readToml(file);
    if (source === null) return "missing";
    const valid = validate(schemaNode(ModelFile), source, (keyPath, message) =>
      findings.error({ source, path: keyPath }, message, LEFT_OUT),
    );
    return valid ? { source, keys: source.data as ModelFile } : null;
  } catch (error) {
    if (!(error instanceof UnreadableFile)) throw error;
    findings.fileError(error.file, error.line, error.message, LEFT_OUT);
    return null;
  }
}

/**
 * The models of every `NAME.toml` in `directory`, ordered by name, without the files that an entry of the main file has
 * already read (`used`). `chosen`: where the main file names the directory, to report when it is missing.
 */
export async function draftsOfDirectory(
  context: ReadContext,
  directory: string,
  used: ReadonlySet<string>,
  chosen: Place | null,
): Promise<ModelDraft[]> {
  let names: string[];
  try {
    names = (await readdir(directory)).filter((name) => name.endsWith(".toml") && !name.startsWith(".")).sort();
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "does not exist" : `cannot be read (${code ?? message})`;
    if (code !== "ENOENT")
      context.findings.fileError(directory, null, `the directory of the model files ${reason}, so none is read`);
    else if (chosen !== null)
      context.findings.warning(
        chosen,
        `the directory ${directory} ${reason}, so no model files are read; create it, or remove the key to use the default`,
      );
    return [];
  }
  const files = names.map((name) => path.join(directory, name)).filter((file) => !used.has(file));
  const contents = await Promise.all(files.map((file) => readModelFile(context, file)));
  const drafts: ModelDraft[] = [];
  for (const [index, content] of contents.entries()) {
    if (content === "missing") await tellDangling(context, files[index] ?? "");
    else if (content !== null) drafts.push(...draftsOfFile(context, content));
  }
  return drafts;
}

/** A file that is listed and cannot be opened: a link to nothing, or one that was deleted in between. */
async function tellDangling({ findings }: ReadContext, file: string): Promise<void> {
  const target = await readlink(file).catch(() => null);
  if (target !== null) findings.fileError(file, null, `is a link to ${target}, which does not exist`, LEFT_OUT);
}

function draftsOfFile(context: ReadContext, { source, keys }: ModelFileContent): ModelDraft[] {
  const base = path.basename(source.file, ".toml");
  const root: Place = { source, path: [] };
  const sections = MODEL_KINDS.flatMap((kind) => {
    const section: SectionKeys | undefined = keys[sectionOf[kind]];
    const place = at(root, sectionOf[kind]);
    const weights = section === undefined ? null : sourceOf(context, section, place);
    return section === undefined || weights === null ? [] : [{ kind, section, place, weights }];
  });
  if (sections.length === 0) {
    if (!context.findings.isBroken(source.file))
      context.findings.warning(
        root,
        'serves nothing, because no section names its weights: write `source = "smollm2"` (or "hf:ORG/REPO/FILE.gguf", or a path) under [chat], [embedding] or [rerank], or `source = "espeak-ng"` under [tts]',
      );
    return [];
  }
  if (keys.command !== undefined && sections.every(({ section }) => section.engine !== "command"))
    context.findings.warning(
      at(root, "command"),
      'has no effect, because no section of this file says `engine = "command"`',
    );
  const address = ownAddress(context, keys.server?.socket_addr ?? "", at(root, "server", "socket_addr"));
  const capabilities = ownCapabilities(context, keys.capabilities, root);
  let baseIsFree = true;
  return sections.map(({ kind, section, place, weights }) => {
    const given = section.model_name ?? UNNAMED;
    const name: PlacedName =
      given !== UNNAMED && given !== ""
        ? { name: given, place: at(place, "model_name") }
        : { name: baseIsFree ? base : `${base}-${sectionOf[kind]}`, place };
    if (name.name === base) baseIsFree = false;
    return {
      kind,
      name,
      aliases: aliasesOf(section, place, name.name, false),
      source: weights,
      sourcePlace: sourcePlaceOf(section, place),
      keys: section,
      ...(keys.command === undefined ? {} : { command: keys.command }),
      capabilities,
      section: place,
      addresses: address === null ? [] : [address],
      group: source.file,
    };
  });
}
