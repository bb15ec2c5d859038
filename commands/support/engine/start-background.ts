import { spawn } from "node:child_process";
import { mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { variable } from "../../../src/config/environment.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { programFile } from "../../../src/core/package.ts";
import { readEngineChoice } from "../../../src/engines/choice.ts";
import {
  type BackgroundBuild,
  readBackgroundBuild,
  reasonAgainst,
} from "../../../src/engines/llama-server/build/background.ts";
import { findSource } from "../../../src/engines/llama-server/build/source.ts";
import { toolRunner } from "../../../src/engines/llama-server/build/tool.ts";
import { findToolchain } from "../../../src/engines/llama-server/build/toolchain.ts";
import { type FoundEngine, findLlamaServer } from "../../../src/engines/llama-server/installation.ts";
import type { CommandContext } from "../cli/context.ts";
import { engineFolder } from "../stores.ts";

const program = (): string => programFile("commands/support/engine/background-program");

/** Argument of the program: build for the CPU only. */
export const NO_GPU = "--no-gpu";

/** All output of the build in addition to its own log. */
const backgroundLog = (logDir: string): string => join(logDir, "engine-build.log");

/** Starts a background build at the lowest priority, or returns why none is needed. */
export async function startInBackground(
  context: CommandContext,
  { gpu }: { readonly gpu: boolean },
): Promise<{ started: boolean; reason: string | null }> {
  const { env, paths } = context;
  const folder = engineFolder(paths);
  const run = toolRunner({});
  const config = await loadConfig({ env, configFile: paths.configFile });
  const [search, source, last, found, choice] = await Promise.all([
    findToolchain(run, false),
    findSource(run, false),
    readBackgroundBuild(folder.choices),
    findLlamaServer(folder, config.llamaServerPath, variable(env, "PATH") ?? ""),
    readEngineChoice(folder),
  ]);
  const compiler = search.complete ? search.toolchain.compiler : "";
  const attempt = JSON.stringify([source.commit, source.patches.map(({ sha256 }) => sha256), compiler]);
  const reason = reasonAgainst({
    enabled: config.buildInBackground,
    settled: (found.available && !isRenewable(found)) || found.origin === "configured" || choice.engine !== "auto",
    missing: search.complete ? [] : search.missing,
    attempt,
    last,
  });
  if (reason !== null) return { started: false, reason };
  mkdirSync(paths.logDir, { recursive: true, mode: 0o700 });
  const log = openSync(backgroundLog(paths.logDir), "w", 0o600);
  const child = spawn(process.execPath, [program(), attempt, ...(gpu ? [] : [NO_GPU])], {
    detached: true,
    cwd: "/",
    stdio: ["ignore", log, log],
    env: { ...env, ASSISTANT_CONFIG: paths.configFile, ASSISTANT_DATA_DIR: env["ASSISTANT_DATA_DIR"] && paths.dataDir },
  });
  child.unref();
  return { started: true, reason: null };
}

/** A build of ours, which another version of Assistant has made with what has changed since. */
const isRenewable = (found: FoundEngine): boolean =>
  found.available && found.origin === "built" && found.outdated !== undefined;

const END_POLL_MS = 50;

/** Ends the background build, if there is one; returns once it has ended. The next build resumes there. */
export async function cancelBackground({ paths }: CommandContext): Promise<{ cancelled: boolean }> {
  const { choices } = engineFolder(paths);
  const running = async (): Promise<BackgroundBuild | null> => {
    const build = await readBackgroundBuild(choices);
    return build?.state === "running" ? build : null;
  };
  const build = await running();
  if (build === null) return { cancelled: false };
  process.kill(build.pid, "SIGTERM");
  while ((await running())?.pid === build.pid) await delay(END_POLL_MS);
  return { cancelled: true };
}
