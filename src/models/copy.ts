import { constants } from "node:fs";
import { access, copyFile, link, mkdir, rename, rm, stat } from "node:fs/promises";
import { basename, extname, join } from "node:path";
import { AssistantError } from "../core/errors.ts";
import { needRoom } from "./pull/disk.ts";
import { lockPull } from "./pull/lock.ts";
import { makeFolder } from "./pull/modes.ts";
import {
  getModel,
  type ModelStore,
  modelFolder,
  partialFiles,
  partsFolder,
  type StoredModel,
  weightsFile,
  writeManifest,
} from "./store.ts";
import { isVoiceFile } from "./voice.ts";

/**
 * Gives a stored model a second name. The files are hard links where the file system has them, so that they take no
 * second room, and each name can be removed without the other. Throws `model_not_found` and `file_exists`.
 */
export async function copyModel(store: ModelStore, from: string, to: string): Promise<StoredModel> {
  const model = await getModel(store, from);
  if (model === null)
    throw new AssistantError("model_not_found", `There is no model ${JSON.stringify(from)} in the store.`, {
      param: from,
      remedy: "`assistant list` shows the models.",
    });
  const { weightsDir } = store;
  // Another copy, or a pull, may be giving the name away.
  const lockFile = join(weightsDir, `.${to}.lock`);
  await using _lock = await lockPull(weightsFile(weightsDir, to), lockFile, new AbortController().signal, () => {});
  if ((await getModel(store, to)) !== null)
    throw exists(`a model named ${to}`, "Choose another name, or remove that model first.");
  const [file, ...others] = model.files;
  if (file === undefined) throw new Error("a model without files");
  const single = others.length === 0 && model.manifest?.files === undefined;
  // Made under a name that is none, as a pull does: a copy that is cut short is no model.
  const draft = single ? partialFiles(weightsDir, to)[0] : partsFolder(weightsDir, to);
  await rm(draft, { recursive: true, force: true });
  if (single) await linkOrCopy(file, draft);
  else {
    await makeFolder(draft);
    for (const one of model.files) await linkOrCopy(one, join(draft, basename(one)));
  }
  if (model.manifest !== null) await writeManifest(store, { ...model.manifest, name: to });
  await rename(draft, single ? weightsFile(weightsDir, to, isVoiceFile(model.file)) : modelFolder(weightsDir, to));
  const made = await getModel(store, to);
  if (made === null) throw new AssistantError("not_writable", `${to} was removed while it was being created.`);
  return made;
}

async function linkOrCopy(from: string, to: string): Promise<void> {
  try {
    await link(from, to);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (!["EXDEV", "EPERM", "ENOTSUP", "EOPNOTSUPP", "EMLINK"].includes(code ?? "")) throw error;
    await copyFile(from, to, constants.COPYFILE_FICLONE);
  }
}

/** The destination of a model: a file, or a folder for one of several files. */
export interface Exported {
  readonly name: string;
  readonly files: readonly string[];
  readonly bytes: number;
}

/**
 * Copies a model's files out of the store, complete or not at all: to the path `to`, or into it where it is a folder.
 * Copies share their blocks where the file system can do that. Throws `file_exists` and `disk_full`.
 */
export async function exportModel(
  model: StoredModel,
  to: string,
  {
    force,
    asFolder = false,
    onFile,
  }: {
    readonly force: boolean;
    /** `to` is a folder, which is created if needed. */
    readonly asFolder?: boolean;
    onFile?(file: string, index: number, count: number): void;
  },
): Promise<Exported> {
  const { name, files, bytes } = model;
  const [first] = files;
  const isFolder = asFolder || (await stat(to).catch(() => null))?.isDirectory() === true;
  const several = files.length > 1;
  // A file of several keeps its name: the others are found by it.
  const folder = isFolder || several ? to : join(to, "..");
  const nameOf = (file: string): string =>
    several ? basename(file) : isFolder ? `${name}${extname(file)}` : basename(to);
  const targets = files.map((file) => join(folder, nameOf(file)));
  if (several || asFolder) await mkdir(folder, { recursive: true });
  for (const target of targets) {
    const taken = await access(target).then(
      () => true,
      () => false,
    );
    if (taken && !force) throw exists(target, "Add `--force` to replace it.");
  }
  await needRoom(folder, first === undefined ? 0 : bytes);
  for (const [index, file] of files.entries()) {
    const target = targets[index] ?? "";
    const draft = `${target}.partial`;
    onFile?.(target, index, files.length);
    try {
      await copyFile(file, draft, constants.COPYFILE_FICLONE);
      await rename(draft, target);
    } finally {
      await rm(draft, { force: true });
    }
  }
  return { name, files: targets, bytes };
}

const exists = (what: string, remedy: string): AssistantError =>
  new AssistantError("file_exists", `There is ${what} already.`, { param: "name", remedy });
