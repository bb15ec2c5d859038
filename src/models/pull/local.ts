import { createReadStream } from "node:fs";
import { open, readdir, readFile, realpath, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { AssistantError } from "../../core/errors.ts";
import { type FileSet, modelsAmong, partsOf } from "../file-set.ts";
import { readGguf } from "../gguf-header.ts";
import { isVoiceFile, voicePart } from "../voice.ts";
import { ownerOfFolderReads } from "./modes.ts";
import { type Delivery, nothingKnown, type Source } from "./types.ts";

/**
 * The files of the model at a path: a file, with the other parts of its model, or a folder that holds one model. Throws
 * `unknown_source`.
 */
export async function localFiles(path: string): Promise<FileSet> {
  const found = await stat(path).catch(() => null);
  // What is wrong with a file is said when it is read.
  if (found?.isDirectory() !== true) return { weights: partsOf(path), projector: null };
  const { models, missing } = modelsAmong((await readdir(path)).toSorted().map((name) => join(path, name)));
  const [model, ...others] = models;
  if (model !== undefined && others.length === 0) return model;
  const names = models.map(({ weights: [file] }) => file.slice(path.length + 1)).join(", ");
  if (model !== undefined)
    throw new AssistantError("unknown_source", `${path} holds several models: ${names}.`, {
      param: "reference",
      remedy: `Name the file, such as ${model.weights[0]}.`,
    });
  throw new AssistantError(
    "unknown_source",
    missing.length > 0
      ? `${path} does not have all parts of its model: ${missing.map((part) => part.slice(path.length + 1)).join(", ")} is missing.`
      : `${path} is a folder without GGUF files.`,
    { param: "reference" },
  );
}

/** A file of this machine: linked into the store where the file system can and its owner can read it, else copied. */
export function localSource(path: string): Source {
  return {
    label: path,
    async peek(bytes) {
      const { file, bytes: totalBytes } = await locate(path);
      await using handle = await open(file, "r");
      const head = Buffer.alloc(Math.min(bytes, totalBytes));
      await handle.read(head, 0, head.length, 0);
      return { head, totalBytes };
    },
    async deliver(delivery) {
      const { file, bytes } = await locate(path);
      const config = isVoiceFile(file) ? await voiceConfig(file) : null;
      if (config !== null) {
        await copied(file, bytes, delivery);
        await delivery.into.append(config);
        return nothingKnown;
      }
      if (!isVoiceFile(file))
        await readGguf(file, path).catch((error: NodeJS.ErrnoException) => {
          throw error.code === "EACCES" ? unreadable(path, error) : error;
        });
      if (!(await linked(file, bytes, delivery))) await copied(file, bytes, delivery);
      return nothingKnown;
    },
  };
}

/**
 * The part of the config next to a Piper voice with which it becomes one file; null if there is none, as for an
 * exported one. Throws `model_invalid`.
 */
async function voiceConfig(file: string): Promise<Buffer | null> {
  const beside = `${file}.json`;
  const text = await readFile(beside, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return null;
    throw error;
  });
  return text === null ? null : voicePart(text, beside);
}

async function locate(path: string): Promise<{ file: string; bytes: number }> {
  try {
    // A link to a symbolic link would break when the other one moves.
    const file = await realpath(path);
    const found = await stat(file);
    if (found.isFile()) return { file, bytes: found.size };
    throw new AssistantError("unknown_source", `${path} is not a file.`, { param: "reference" });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "EACCES") throw unreadable(path, error);
    if (code !== "ENOENT" && code !== "ENOTDIR") throw error;
    throw new AssistantError("unknown_source", `There is no file ${path}.`, {
      param: "reference",
      remedy: "Check the path, or pull by a catalog name or hf:ORG/REPO/FILE.gguf.",
      cause: error,
    });
  }
}

const unreadable = (path: string, cause: unknown): AssistantError =>
  new AssistantError("unknown_source", `${path} cannot be read: permission denied.`, { param: "reference", cause });

async function linked(file: string, bytes: number, { into, report, signal }: Delivery): Promise<boolean> {
  // A link has the modes of the file, which are its owner's affair.
  if (!(await ownerOfFolderReads(dirname(into.path), file))) return false;
  try {
    await into.linkTo(file, signal, (done) => report("verify", done, bytes));
    return true;
  } catch (error) {
    // Another file system, one without links, or a file of another user that the kernel protects: copy then.
    if (
      ["EXDEV", "EPERM", "EACCES", "ENOTSUP", "EOPNOTSUPP", "EMLINK"].includes(
        (error as NodeJS.ErrnoException).code ?? "",
      )
    )
      return false;
    throw error;
  }
}

async function copied(file: string, bytes: number, { into, report, signal, needRoom }: Delivery): Promise<void> {
  await needRoom(bytes);
  await into.restart(`file:${file}`);
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Buffer>) {
    await into.append(chunk);
    report("extract", into.bytes, bytes);
  }
}
