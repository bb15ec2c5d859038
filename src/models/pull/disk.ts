import { statfs } from "node:fs/promises";
import { AssistantError } from "../../core/errors.ts";
import { formatBytes } from "../format.ts";

/** Bytes that an unprivileged process may still write on the file system of `path`. */
export async function freeBytes(path: string): Promise<number> {
  const { bavail, bsize } = await statfs(path);
  return bavail * bsize;
}

/** Throws `disk_full` with both figures unless `bytes` more fit into `directory`. */
export async function needRoom(
  directory: string,
  bytes: number,
  free: (path: string) => Promise<number> = freeBytes,
): Promise<void> {
  const available = await free(directory);
  if (available >= bytes) return;
  throw diskFull(directory, bytes, available);
}

export function diskFull(directory: string, needed: number, available: number, cause?: unknown): AssistantError {
  return new AssistantError(
    "disk_full",
    `The disk of ${directory} has ${formatBytes(available)} free; ${formatBytes(needed)} are needed.`,
    {
      remedy: "Free some room (`assistant rm NAME` deletes models), or point ASSISTANT_DATA_DIR at a larger disk.",
      cause,
    },
  );
}
