import { lstat, mkdir } from "node:fs/promises";
import { AssistantError } from "../core/errors.ts";

/**
 * Creates or checks the directory of the sockets, whose owner could impersonate the daemon. Throws `not_writable` if it
 * belongs to another user or is accessible to others.
 */
export async function secureRunDir(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const found = await lstat(directory);
  const uid = process.getuid?.();
  const foreign = uid !== undefined && found.uid !== uid;
  if (found.isDirectory() && !foreign && (found.mode & 0o077) === 0) return;
  const problem = !found.isDirectory()
    ? "is not a directory"
    : foreign
      ? `belongs to user ${found.uid}`
      : `lets others in (mode ${(found.mode & 0o777).toString(8)})`;
  throw new AssistantError(
    "not_writable",
    `The daemon's socket directory ${directory} ${problem}; expected a directory of your own with mode 700.`,
    {
      remedy: "Remove it, or choose another data directory with ASSISTANT_DATA_DIR.",
    },
  );
}
