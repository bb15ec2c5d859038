import { constants } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { ClusterSettings, Paths } from "../../../src/core/config.ts";
import { toAssistantError } from "../../../src/core/errors.ts";
import { formatBytes } from "../../../src/models/format.ts";
import { openRecords } from "../../../src/store/stores.ts";
import { type Finding, findingsOf, type Level } from "./finding.ts";

const LOW_DISK_BYTES = 2 * 1024 ** 3;
const finding = findingsOf("files");

/** Whether the directories can be used, who else can read them, and the free disk space. */
export async function fileFindings(paths: Paths, cluster: ClusterSettings | null = null): Promise<Finding[]> {
  const directories: readonly (readonly [string, string])[] = [
    ["configuration", dirname(paths.configFile)],
    ["data", paths.dataDir],
    ["logs", paths.logDir],
    ["runtime", paths.runDir],
  ];
  const writable = await Promise.all(
    directories.map(([name, directory]) =>
      directoryFinding(name, directory, name === "configuration" ? "warning" : "broken"),
    ),
  );
  return [
    ...writable,
    await diskFinding(paths.dataDir),
    ...(await storeFindings(paths, cluster)),
    ...(await privacyFindings(paths)),
  ];
}

/** Damaged databases that were set aside, or what is wrong with the cluster's Redis. */
async function storeFindings(paths: Paths, cluster: ClusterSettings | null): Promise<Finding[]> {
  try {
    const store = await openRecords({ paths, cluster }, () => {});
    const { problems } = store;
    await store.close();
    return problems.map((problem) => finding("store", "broken", problem, "See docs/store.md."));
  } catch (error) {
    const { message, remedy } = toAssistantError(error);
    return [finding("store", "broken", message, remedy)];
  }
}

async function directoryFinding(name: string, directory: string, level: Level): Promise<Finding> {
  const existing = await nearestExisting(directory);
  const made = existing === directory ? "" : " (will be made)";
  try {
    await access(existing, constants.W_OK | constants.X_OK);
    return finding(name, "ok", `${directory}${made}`);
  } catch {
    return finding(
      name,
      level,
      `you may not write to ${existing}`,
      "Change its owner, or choose others with ASSISTANT_DATA_DIR and ASSISTANT_CONFIG.",
    );
  }
}

async function diskFinding(dataDir: string): Promise<Finding> {
  const { bavail, bsize } = await statfs(await nearestExisting(dataDir));
  const free = bavail * bsize;
  const found = `${formatBytes(free)} free for models`;
  return free < LOW_DISK_BYTES
    ? finding(
        "disk",
        "warning",
        found,
        "Free some room (`assistant rm NAME` deletes a model), or point ASSISTANT_DATA_DIR at a larger disk.",
      )
    : finding("disk", "ok", found);
}

/** Access to the admin socket includes using and stopping the daemon. */
async function privacyFindings(paths: Paths): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const [name, file] of [
    ["runtime", paths.runDir],
    ["admin socket", paths.adminSocket],
  ] as const) {
    const found = await stat(file).catch(() => null);
    if (found === null) continue;
    if ((found.mode & 0o077) !== 0)
      findings.push(
        finding(
          name,
          "warning",
          `${file} is open to other users (mode ${(found.mode & 0o777).toString(8)})`,
          `Run \`chmod go-rwx ${file}\`.`,
        ),
      );
    if (process.getuid !== undefined && found.uid !== process.getuid())
      findings.push(
        finding(
          name,
          "broken",
          `${file} belongs to another user`,
          "Run the command as that user, or set ASSISTANT_DATA_DIR.",
        ),
      );
  }
  return findings;
}

async function nearestExisting(path: string): Promise<string> {
  for (let at = path; ; at = dirname(at)) {
    if (dirname(at) === at || (await stat(at).catch(() => null)) !== null) return at;
  }
}
