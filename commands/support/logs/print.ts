import { join } from "node:path";
import type { DaemonStatus } from "../../../src/api/status.ts";
import { connectIfAnswering } from "../../../src/client/daemon-client.ts";
import type { Paths } from "../../../src/core/config.ts";
import { AssistantError } from "../../../src/core/errors.ts";
import { nearestNames } from "../../../src/core/nearest.ts";
import { printable } from "../../../src/ui/printable.ts";
import { formatLogLine, parseLogLine } from "./format.ts";
import { LogTail } from "./tail.ts";

export interface PrintLogOptions {
  readonly file: string;
  readonly lines: number;
  readonly follow: boolean;
  readonly format: "raw" | "plain" | "colour";
  readonly print: (line: string) => void;
  /** Ends following. */
  readonly signal: AbortSignal;
}

/** Prints the end of a log and, if requested, follows it until the signal is aborted. */
export async function printLog(options: PrintLogOptions): Promise<void> {
  const print = (line: string): void =>
    options.print(options.format === "raw" ? printable(line) : formatLogLine(line, options.format === "colour"));
  await using tail = await LogTail.open(options.file);
  (await tail.last(options.lines)).forEach(print);
  if (!options.follow) return;
  for await (const lines of tail.follow(options.signal)) lines.forEach(print);
}

/** The end of a log as values: each line parsed if it is JSON, like the daemon's, otherwise the line. */
export async function lastEntries(file: string, count: number): Promise<unknown[]> {
  await using tail = await LogTail.open(file);
  return (await tail.last(count)).map((line) => parseLogLine(line) ?? line);
}

/** The daemon's log, or the log of the instance (or the first instance of the model) that `name` names. */
export async function findLogFile(
  paths: Pick<Paths, "adminSocket" | "dataDir" | "logDir">,
  name: string | null,
): Promise<string> {
  const running = await connectIfAnswering(paths);
  // The name that always leads to the file being written; readable also while no daemon runs.
  if (name === null) return running?.status.logFile ?? join(paths.logDir, "current.log");
  if (running === null) {
    throw new AssistantError(
      "daemon_not_running",
      `The daemon is not running, so the log of ${name} cannot be located.`,
      {
        remedy: `Start it with \`assistant serve\`, or look into ${paths.logDir}.`,
      },
    );
  }
  return instanceLog(running.status, name);
}

function instanceLog(status: DaemonStatus, name: string): string {
  const model = status.models.find((entry) => entry.name === name || entry.aliases.includes(name));
  const found =
    status.instances.find((instance) => instance.id === name) ??
    status.instances.find((instance) => instance.model === (model?.name ?? name));
  if (found !== undefined) return found.logFile;
  if (model !== undefined) {
    throw new AssistantError(
      "instance_not_found",
      `${model.name} has had no instance since the daemon started, so there is no log yet.`,
      {
        remedy: "The first request to the model starts one.",
      },
    );
  }
  const [nearest] = nearestNames(name, [
    ...status.instances.map((instance) => instance.id),
    ...status.models.map((entry) => entry.name),
  ]);
  throw new AssistantError("instance_not_found", `There is no instance or model \`${name}\`.`, {
    param: name,
    remedy: nearest === undefined ? "`assistant ps` lists the instances." : `Did you mean \`${nearest}\`?`,
  });
}
