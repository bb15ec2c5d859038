import { existsSync } from "node:fs";
import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import { packageRoot } from "./assistant.ts";

/**
 * Prometheus' own checker of rules: the machine's, or the one of Debian's package, out of which it alone is taken.
 * Installing the package would cost five times as long, and start a server.
 */
export async function promtool(): Promise<string> {
  const installed = await execa("which", ["promtool"], { reject: false });
  if (installed.exitCode === 0) return installed.stdout;
  const folder = join(packageRoot, ".cache/promtool");
  const program = join(folder, "usr/bin/promtool");
  if (existsSync(program)) return program;
  const draft = `${folder}.${process.pid}`;
  await mkdir(draft, { recursive: true });
  try {
    await execa("apt-get", ["download", "prometheus"], { cwd: draft, stdin: "ignore" });
    const [archive = ""] = await readdir(draft);
    await execa("sh", ["-c", `dpkg-deb --fsys-tarfile "$0" | tar x ./usr/bin/promtool && rm "$0"`, archive], {
      cwd: draft,
    });
    await rename(draft, folder);
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return program;
}
