import { createReadStream } from "node:fs";
import { realpath, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { AssistantError } from "../../core/errors.ts";
import { readGguf, refusePart } from "../gguf-header.ts";
import { ownerOfFolderReads } from "./modes.ts";
import { type Delivery, nothingKnown, type Source } from "./types.ts";

/** A file of this machine: linked into the store where the file system can and its owner can read it, else copied. */
export function localSource(path: string): Source {
  return {
    label: path,
    async deliver(delivery) {
      const { file, bytes } = await locate(path);
      const header = await readGguf(file, path).catch((error: NodeJS.ErrnoException) => {
        throw error.code === "EACCES" ? unreadable(path, error) : error;
      });
      refusePart(header, path);
      if (!(await linked(file, bytes, delivery))) await copied(file, bytes, delivery);
      return nothingKnown;
    },
  };
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
