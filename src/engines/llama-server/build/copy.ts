import { copyFile, link, rm } from "node:fs/promises";

/** The same file under a second name, or a copy on another file system. What has that name makes way. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  await rm(to, { force: true });
  await link(from, to).catch(() => copyFile(from, to));
}
