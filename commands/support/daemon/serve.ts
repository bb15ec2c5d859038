import type { DaemonStatus } from "../../../src/api/status.ts";
import { noticeLine } from "../../../src/ui/notices.ts";
import type { CommandContext } from "../cli/context.ts";
import { type ProgressStream, showProgress } from "../cli/progress.ts";
import { ensureDaemon } from "./start.ts";

export interface ServeOptions {
  readonly context: CommandContext;
  /** Address for this start only, or null. */
  readonly httpAddr: string | null;
  readonly say: (line: string) => void;
  readonly progress: ProgressStream;
}

/** Starts the daemon, or finds it running; prints where it is and how to continue. Returns what `--json` prints. */
export async function serveInBackground(
  options: ServeOptions,
): Promise<{ started: boolean; pid: number; url: string | null }> {
  using progress = showProgress(options.progress, "starting the daemon");
  const { context } = options;
  const { status, started } = await ensureDaemon({
    paths: context.paths,
    env: context.env,
    httpAddr: options.httpAddr,
  });
  progress.stop();
  for (const line of serveMessage(status, started, options.httpAddr)) options.say(line);
  return { started, pid: status.pid, url: status.url };
}

/** The lines that `serve` prints. Pure. */
export function serveMessage(status: DaemonStatus, started: boolean, wantedAddr: string | null): string[] {
  const where = status.url === null ? "without HTTP (only the commands reach it)" : `at ${status.url}`;
  const lines = [
    started ? `Assistant is running ${where}` : `Assistant is already running ${where} (pid ${status.pid}).`,
  ];
  if (!started && wantedAddr !== null && status.url !== null && !status.url.endsWith(wantedAddr)) {
    lines.push("The address was not changed: run `assistant stop` first, then serve again.");
  }
  if (started) {
    if (status.url !== null) lines.push(`  OpenAI clients   ${status.url}/v1`);
    lines.push("  watch            assistant ps", "  stop             assistant stop");
  }
  const errors = status.notices.filter((notice) => notice.severity === "error");
  for (const notice of errors) lines.push(noticeLine(notice));
  const warnings = status.notices.length - errors.length;
  if (warnings > 0)
    lines.push(`${warnings} configuration ${warnings === 1 ? "warning" : "warnings"}: see \`assistant status\`.`);
  if (started) lines.push(...status.hints.map((hint) => `Hint: ${hint}`));
  return lines;
}
