import { chmod, mkdir, stat } from "node:fs/promises";
import { dirname } from "node:path";

/** For everything that a pull leaves in the store: the pulling user, often root, need not be the daemon's. */
export const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;
const OWNER_READS = 0o400;
const OTHERS_READ = 0o004;

/**
 * Makes the folder and those above it, readable whatever the umask; folders that were there keep the modes they have.
 */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  for (let made = path; ; made = dirname(made)) {
    await chmod(made, FOLDER_MODE);
    if (made === first || made === dirname(made)) return;
  }
}

/** Whether a folder's owner may read a file. Groups are ignored, since their members may not be known here. */
export async function ownerOfFolderReads(folder: string, file: string): Promise<boolean> {
  const [{ uid }, found] = await Promise.all([stat(folder), stat(file)]);
  return (found.mode & OTHERS_READ) !== 0 || (found.uid === uid && (found.mode & OWNER_READS) !== 0);
}
