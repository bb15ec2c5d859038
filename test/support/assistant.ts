import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { execa, type Options } from "execa";
import { ensureDaemon } from "../../commands/support/daemon/start.ts";
import { stopDaemon } from "../../commands/support/daemon/stop.ts";
import type { ReloadReport } from "../../src/api/reload.ts";
import type { DaemonStatus, InstanceStatus } from "../../src/api/status.ts";
import { connectIfAnswering, daemonClient } from "../../src/client/daemon-client.ts";
import { resolvePaths } from "../../src/config/paths.ts";
import { lockHolder } from "../../src/core/daemon-lock.ts";
import { addEstimates, ESTIMATES_FILE } from "./kept-estimates.ts";

export const packageRoot = join(dirname(fileURLToPath(import.meta.url)), "../..");
/** Fakes are TypeScript: with what Node.js made of it the last time they start in half the time. */
export const compileCache = join(packageRoot, ".cache/compile-cache");
/** What test runs keep between them; not in the repository. */
const cacheDir = join(packageRoot, ".cache");
const keptEstimates = join(cacheDir, ESTIMATES_FILE);
const program = join(packageRoot, "bin/assistant.js");
/** As it is built: what runs here is source. */
const daemonProgram = join(packageRoot, "dist/src/daemon/main.js");
const SILENT = { write: () => true };

/** One installation in a temporary directory, driven through the real command line. */
export interface TestAssistant extends AsyncDisposable {
  readonly root: string;
  readonly env: Record<string, string>;
  /** Runs `assistant ...args`; never rejects for an exit code. */
  run(args: readonly string[], options?: Options): Promise<{ exitCode: number; stdout: string; stderr: string }>;
  /** What `assistant serve` does, without the price of a command; returns the URL. */
  serve(): Promise<string>;
  /** What `assistant stop` does. Resolves when the daemon's process has ended. */
  stop(): Promise<void>;
  /** What `assistant reload` does. Rejects where the configuration is wrong. */
  reload(): Promise<ReloadReport>;
  /** What `status --json` prints, without the price of a command. */
  status(): Promise<DaemonStatus>;
  writeModel(name: string, toml: string): Promise<void>;
  daemonLog(): Promise<string>;
}

export interface TestSetup {
  /** Lines added to config.toml; `[server] http_addr` is set already. */
  readonly config?: string;
  /** Lines added to its `[scheduler]` section. */
  readonly scheduler?: string;
  /** Default: 4. */
  readonly maxInstances?: number;
  /** Model files, name -> TOML. */
  readonly models?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  /** Makes its own memory estimates, also where those of kept weights are known. */
  readonly ownEstimates?: boolean;
}

export async function installAssistant(setup: TestSetup = {}): Promise<TestAssistant> {
  const root = await mkdtemp(join(tmpdir(), "assistant-e2e-"));
  const configFile = join(root, "config.toml");
  const modelDir = join(root, "models");
  await mkdir(modelDir);
  await writeFile(
    configFile,
    `[server]\nhttp_addr = "127.0.0.1:0"\n\n${setup.config ?? ""}\n\n[scheduler]\nconfig_dir = "${modelDir}"\nmax_instances = ${setup.maxInstances ?? 4}\n${setup.scheduler ?? ""}\n`,
  );
  const env: Record<string, string> = {
    PATH: process.env["PATH"] ?? "",
    HOME: root,
    ASSISTANT_CONFIG: configFile,
    ASSISTANT_DATA_DIR: join(root, "data"),
    ...setup.env,
  };
  const estimates = join(root, "data", ESTIMATES_FILE);
  const keepsWeights = Object.values(setup.models ?? {}).some((toml) => toml.includes(cacheDir));
  const sharesEstimates = keepsWeights && setup.ownEstimates !== true;
  if (sharesEstimates) await addEstimates(keptEstimates, estimates);
  const run: TestAssistant["run"] = async (args, options = {}) => {
    const result = await execa(process.execPath, [program, ...args], {
      env,
      extendEnv: false,
      reject: false,
      cwd: root,
      ...options,
    });
    return {
      exitCode: result.exitCode ?? -1,
      stdout: String(result.stdout ?? ""),
      stderr: String(result.stderr ?? ""),
    };
  };
  const paths = resolvePaths(env);
  const stop = async (now: boolean): Promise<void> =>
    void (await stopDaemon({ paths, now, progress: SILENT, lockHolder }));
  const status = async (): Promise<DaemonStatus> =>
    (await connectIfAnswering(paths))?.status ?? ({ state: "stopped" } as unknown as DaemonStatus);
  const assistant: TestAssistant = {
    root,
    env,
    run,
    status,
    async serve() {
      const {
        status: { url },
      } = await ensureDaemon({ paths, env, httpAddr: null, program: daemonProgram }).catch(async (error: unknown) => {
        const logs = await readdir(paths.logDir).catch(() => []);
        const texts = await Promise.all(logs.map((name) => readFile(join(paths.logDir, name), "utf8").catch(() => "")));
        throw new Error(`the daemon did not start:\n${texts.join("\n")}`, { cause: error });
      });
      if (!url) throw new Error("the daemon listens on no address");
      return url;
    },
    stop: () => stop(false),
    reload: () => daemonClient(paths).reload(),
    async writeModel(name, toml) {
      await writeFile(join(modelDir, `${name}.toml`), toml);
    },
    daemonLog: async () => readFile((await status()).logFile, "utf8"),
    async [Symbol.asyncDispose]() {
      await stop(true).catch(() => {});
      if (sharesEstimates) await addEstimates(estimates, keptEstimates);
      await rm(root, { recursive: true, force: true, maxRetries: 3 });
    },
  };
  for (const [name, toml] of Object.entries(setup.models ?? {})) await assistant.writeModel(name, toml);
  return assistant;
}

/** Polls until `probe` gives something other than undefined or false; fails with `what` after `timeoutMs`. */
export async function eventually<T>(
  what: string,
  probe: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = performance.now() + timeoutMs;
  for (let pauseMs = 10; ; pauseMs = Math.min(pauseMs * 1.5, MAX_PAUSE_MS)) {
    const value = await probe();
    if (value !== undefined && value !== false) return value;
    if (performance.now() > deadline) throw new Error(`not within ${timeoutMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/** A daemon's status costs 4 ms of a core: asked for without a pause, it takes from what is waited for. */
const MAX_PAUSE_MS = 50;

export const readyInstances = (status: DaemonStatus, model: string): InstanceStatus[] =>
  status.instances.filter((instance) => instance.model === model && instance.state === "ready");

/** Whether a process is still running (a zombie is not). */
export async function isRunning(pid: number): Promise<boolean> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8");
    return stat.slice(stat.lastIndexOf(")") + 2, stat.lastIndexOf(")") + 3) !== "Z";
  } catch {
    return false;
  }
}
