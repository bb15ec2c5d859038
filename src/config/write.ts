import { randomBytes } from "node:crypto";
import { constants, existsSync } from "node:fs";
import { copyFile, link, mkdir, readFile, realpath, rename, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import type { Paths } from "../core/config.ts";
import type { Hardware } from "../core/device.ts";
import { AssistantError } from "../core/errors.ts";
import type { ModelKind } from "../core/model.ts";
import { isName, NAME_TEXT } from "./assemble.ts";
import { fitConfig, fitModel, type Values } from "./fit.ts";
import { schemaNode } from "./schema/kit.ts";
import { MainFile } from "./schema/main.ts";
import { ModelFile } from "./schema/model.ts";
import { templatePath } from "./templates.ts";
import { parseToml } from "./toml.ts";
import { validate } from "./validate.ts";

/** A file that exists or could be created. `written` false: it already existed, and was not changed. */
export interface WrittenFile {
  readonly file: string;
  readonly written: boolean;
}

export interface ModelFileOrder {
  /** The model's name and, with `.toml`, its file's. */
  readonly name: string;
  /** Anything that `source` of a model file takes; paths must be absolute. */
  readonly source: string;
  readonly kind?: ModelKind;
  /**
   * The multimodal projector that came with a chat model. `usable` false: no engine here takes it, and the line is a
   * comment.
   */
  readonly projector?: { readonly file: string; readonly usable: boolean } | null;
  readonly hardware: Hardware;
}

/** Text of a config.toml that fits the machine. */
export async function renderConfig(hardware: Hardware): Promise<string> {
  return checked(await readFile(templatePath("config.toml"), "utf8"), fitConfig(hardware), "config.toml", MainFile);
}

/** Text of a model file that fits the machine. Throws `usage` for a name that no model can have. */
export async function renderModelConfig(order: ModelFileOrder): Promise<string> {
  const { name, source, kind = "chat", projector = null, hardware } = order;
  if (!isName(name))
    throw new AssistantError("usage", `${JSON.stringify(name)} cannot be a model's name: expected ${NAME_TEXT}.`, {
      param: "name",
    });
  const values = {
    ...fitModel(hardware, kind),
    name: tomlText(name),
    source: tomlText(source),
    projector: projector === null ? "" : projectorLines(projector),
  };
  return checked(await readFile(templatePath(`${kind}-model.toml`), "utf8"), values, `${name}.toml`, ModelFile);
}

/** Writes config.toml if there is none. */
export async function ensureConfig(paths: Paths, hardware: Hardware): Promise<WrittenFile> {
  if (existsSync(paths.configFile)) return { file: paths.configFile, written: false };
  return ensure(paths.configFile, await renderConfig(hardware));
}

/**
 * Writes NAME.toml into the directory of the model files (`Config.paths`, possibly changed by `config_dir`) if there is
 * none.
 */
export async function ensureModelConfig(paths: Paths, order: ModelFileOrder): Promise<WrittenFile> {
  const text = await renderModelConfig(order);
  return ensure(modelConfigFile(paths, order.name), text);
}

export const modelConfigFile = (paths: Paths, name: string): string => path.join(paths.modelConfigDir, `${name}.toml`);

async function ensure(file: string, text: string): Promise<WrittenFile> {
  try {
    await writeNew(file, text, { force: false });
    return { file, written: true };
  } catch (error) {
    // It may have been written in the meantime; what counts is that it exists.
    if (error instanceof AssistantError && error.code === "file_exists") return { file, written: false };
    throw error;
  }
}

/**
 * Writes a whole file or nothing. Throws `file_exists` unless `force`; nothing is lost when the disk is full or two do
 * it at once.
 */
export async function writeNew(file: string, text: string, { force }: { readonly force: boolean }): Promise<void> {
  await makeDirectory(path.dirname(file));
  // With `force` a link to a file elsewhere stays one.
  const target = force && existsSync(file) ? await realpath(file) : file;
  const temporary = `${target}.${randomBytes(6).toString("hex")}.tmp`;
  try {
    await writeFile(temporary, text, { mode: 0o644, flush: true });
    if (force) await rename(temporary, target);
    else await publish(temporary, target);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    throw new AssistantError("file_exists", `${file} already exists and was not changed.`, {
      remedy: "Add `--force` to replace it, or `--stdout` to print instead of writing.",
    });
  } finally {
    await rm(temporary, { force: true });
  }
}

/**
 * Unlike a rename, a link fails where the name is taken. Some file systems have no links; a copy there is not atomic,
 * but as careful.
 */
async function publish(temporary: string, target: string): Promise<void> {
  try {
    await link(temporary, target);
  } catch (error) {
    if (!["EPERM", "ENOTSUP", "EOPNOTSUPP"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    await copyFile(temporary, target, constants.COPYFILE_EXCL);
  }
}

async function makeDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === "EEXIST" || code === "ENOTDIR" ? "a file is in the way" : message;
    throw new AssistantError("not_writable", `The directory ${directory} cannot be created: ${reason}.`, {
      remedy: "Choose another place with `--config` or ASSISTANT_CONFIG.",
      cause: error,
    });
  }
}

/** Fills in the placeholders and reads the result back, so that a file which would not load is never written. */
function checked(text: string, values: Values, file: string, schema: typeof MainFile | typeof ModelFile): string {
  const filled = text.replace(/\{\{(\w+)\}\}/g, (placeholder, key: string) => String(values[key] ?? placeholder));
  const problems: string[] = /\{\{\w+\}\}/.exec(filled)?.slice() ?? [];
  validate(schemaNode(schema), parseToml(file, filled), (keyPath, message) =>
    problems.push(`${keyPath.join(".")}: ${message}`),
  );
  if (problems.length > 0)
    throw new AssistantError("internal", `The template of ${file} does not make a valid file: ${problems.join("; ")}`);
  return filled;
}

const projectorLines = ({ file, usable }: NonNullable<ModelFileOrder["projector"]>): string =>
  [
    `# Lets it see images, or hear. ${usable ? "Needs the native engine." : "Needs the native engine: `assistant engine build`."}`,
    `${usable ? "" : "# "}llava_mmproj = "${tomlText(file)}"`,
    "",
  ].join("\n");

/** The inside of a TOML string in double quotes. JSON's escapes are a subset of TOML's. */
const tomlText = (text: string): string => JSON.stringify(text).slice(1, -1);
