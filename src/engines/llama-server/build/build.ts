import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { chmod, copyFile, mkdir, readdir, rename, rm, stat } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join } from "node:path";
import lockfile from "proper-lockfile";
import writeFileAtomic from "write-file-atomic";
import { AssistantError, isAssistantError } from "../../../core/errors.ts";
import { builtBinary } from "../layout.ts";
import { type BuildManifest, MANIFEST_NAME, readManifest } from "./manifest.ts";
import { type BuildPlan, jobCount, linkFlags, planBuild, sameBuild, sameSource } from "./plan.ts";
import { type BuildPhase, type BuildProgress, fractionOf, reasonOf } from "./progress.ts";
import { findSource, prepareSource, type Source } from "./source.ts";
import { streamLines, type ToolOptions, toolRunner } from "./tool.ts";
import { findToolchain, missingToolchain, type Toolchain } from "./toolchain.ts";

export interface BuildOptions extends ToolOptions {
  readonly enginesDir: string;
  /** Without our patches, installed beside the patched one. */
  readonly stock: boolean;
  /** Build although the same build is installed. */
  readonly force: boolean;
  /** Leave the source and object files (about 600 MB) for later inspection. */
  readonly keep: boolean;
  /** Use CUDA where a compiler and a GPU are found. */
  readonly cuda: boolean;
  /** Compilers at once; null: as many as cores, less where memory is short. */
  readonly jobs: number | null;
  /** Another source than the one that comes with the packages. */
  readonly source?: Source;
  readonly onProgress: (progress: BuildProgress) => void;
}

export interface BuildResult {
  readonly path: string;
  readonly manifest: BuildManifest;
  /** False where the same build was there already. */
  readonly built: boolean;
}

/**
 * Builds llama-server from the source bundle and installs it under `enginesDir`; minutes. What an interrupted build
 * has compiled is used by the next one. Throws `engine_build_failed` (missing tools, compiler errors), `disk_full`,
 * `not_writable`, or the signal's reason.
 */
export async function buildLlamaServer(options: BuildOptions): Promise<BuildResult> {
  const run = toolRunner(options);
  const path = builtBinary(options.enginesDir, options.stock);
  const [search, source, installed] = await Promise.all([
    findToolchain(run, options.cuda),
    options.source ?? findSource(run, options.stock),
    readManifest(path),
  ]);
  if (!search.complete) {
    // The tools may have gone since; what they built is as good as before. Without git the commit cannot be compared.
    if (installed && !options.force && (sameSource(installed, source) || source.commit === ""))
      return { path, manifest: installed, built: false };
    throw await missingToolchain(search.missing);
  }
  const plan = planBuild(source, search.toolchain, process.platform);
  if (installed && !options.force && sameBuild(installed, plan)) return { path, manifest: installed, built: false };

  const workRoot = join(options.enginesDir, ".build");
  await mkdir(workRoot, { recursive: true });
  // A lock that was lost (its folder deleted by hand) is no reason to throw into the void, as the default does.
  const release = await lockfile
    .lock(workRoot, { stale: 30_000, onCompromised: () => {} })
    .catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "ELOCKED") throw error;
      throw new AssistantError("engine_build_failed", `Another build is under way in ${workRoot}.`, {
        remedy: "Wait for it to end, then try again.",
        cause: error,
      });
    });
  try {
    const work = join(workRoot, `${options.stock ? "stock" : "patched"}-${plan.fingerprint}`);
    await removeOthers(workRoot, work, options.keep);
    const manifest = await new Build(options, plan, search.toolchain, work, path).run();
    if (!options.keep) await rm(work, { recursive: true, force: true });
    return { path, manifest, built: true };
  } finally {
    await release().catch(() => {});
  }
}

/** Trees that no build will go on with. */
async function removeOthers(workRoot: string, work: string, keep: boolean): Promise<void> {
  if (keep) return;
  const variant = `${work.slice(workRoot.length + 1).split("-")[0]}-`;
  for (const name of await readdir(workRoot)) {
    if (name.startsWith(variant) && join(workRoot, name) !== work)
      await rm(join(workRoot, name), { recursive: true, force: true });
  }
}

/** Each gets its name by a rename: writing into a library that a running engine has loaded would end that engine. */
async function installLibraries(from: string, names: RegExp, to: string): Promise<void> {
  for (const name of (await readdir(from)).filter((entry) => names.test(entry))) {
    const temporary = join(to, `.${name}.${process.pid}`);
    await copyFile(join(from, name), temporary);
    await rename(temporary, join(to, name));
  }
}

class Build {
  readonly #startedAt = performance.now();
  readonly #options: BuildOptions;
  readonly #plan: BuildPlan;
  readonly #toolchain: Toolchain;
  readonly #work: string;
  readonly #path: string;

  constructor(options: BuildOptions, plan: BuildPlan, toolchain: Toolchain, work: string, path: string) {
    this.#options = options;
    this.#plan = plan;
    this.#toolchain = toolchain;
    this.#work = work;
    this.#path = path;
  }

  async run(): Promise<BuildManifest> {
    await mkdir(this.#work, { recursive: true });
    const logFile = join(this.#work, "build.log");
    const log = createWriteStream(logFile);
    try {
      this.#report("unpack", null);
      const source = join(this.#work, "source");
      await prepareSource(toolRunner(this.#options), this.#plan.source, source);
      return (await this.#tryLinking(log, source)) ?? (await this.#make(log, source, null));
    } catch (error) {
      throw this.#explain(error, logFile);
    } finally {
      log.end();
      await once(log, "close");
    }
  }

  /** Null where the libraries that came with the packages do not fit this machine, such as one with an older libc. */
  async #tryLinking(log: WriteStream, source: string): Promise<BuildManifest | null> {
    const { libraries } = this.#plan.source;
    if (libraries === null) return null;
    try {
      return await this.#make(log, source, libraries);
    } catch (error) {
      if (this.#options.signal?.aborted || (isAssistantError(error) && error.code !== "engine_build_failed"))
        throw error;
      log.write(
        `Linking against the prebuilt libraries failed: ${(error as Error).message}\nCompiling all of it instead.\n`,
      );
      return null;
    }
  }

  async #make(log: WriteStream, source: string, libraries: string | null): Promise<BuildManifest> {
    const objects = join(this.#work, libraries === null ? "objects" : "linked");
    const flags = [...this.#plan.flags, ...(libraries === null ? [] : linkFlags(libraries))];
    this.#report("configure", null);
    await this.#step(log, ["-G", this.#toolchain.generator, "-S", source, "-B", objects, ...flags]);
    this.#report("compile", 0);
    const jobs = this.#options.jobs ?? jobCount(availableParallelism(), totalmem());
    await this.#step(log, ["--build", objects, "--target", "llama-server", "--config", "Release", "-j", String(jobs)]);
    this.#report("install", null);
    return this.#install(join(objects, "bin"), libraries);
  }

  async #step(log: WriteStream, args: readonly string[]): Promise<void> {
    const tail: string[] = [];
    log.write(`$ cmake ${args.join(" ")}\n`);
    try {
      await streamLines("cmake", args, { ...this.#options, cwd: this.#work }, (line) => {
        log.write(`${line}\n`);
        if (tail.push(line) > 400) tail.shift();
        const fraction = args[0] === "--build" ? fractionOf(line) : null;
        if (fraction !== null) this.#report("compile", fraction);
      });
    } catch (error) {
      if (this.#options.signal?.aborted) throw this.#options.signal.reason;
      const code = tail.some((line) => line.includes("No space left on device")) ? "disk_full" : "engine_build_failed";
      throw new AssistantError(code, reasonOf(tail), { cause: error });
    }
  }

  /** The binary gets its final name once it has proved to run, and only then the manifest: without it, it counts as unknown. */
  async #install(built: string, libraries: string | null): Promise<BuildManifest> {
    const folder = dirname(this.#path);
    await mkdir(folder, { recursive: true });
    if (libraries !== null) {
      await installLibraries(libraries, /^libllama.*\.so$/u, folder);
      await installLibraries(built, /\.so$/u, folder);
    }
    const temporary = join(folder, `.llama-server.${process.pid}`);
    await copyFile(join(built, "llama-server"), temporary);
    await chmod(temporary, 0o755);
    await toolRunner(this.#options)(temporary, ["--version"]);
    const { source, flags, backends } = this.#plan;
    const manifest: BuildManifest = {
      schema: 1,
      engine: "llama-server",
      sourceTag: source.tag,
      sourceCommit: source.commit,
      patches: source.patches.map(({ name, sha256 }) => ({ name, sha256 })),
      flags,
      backends,
      libraries: libraries === null ? "compiled" : "prebuilt",
      compiler: this.#toolchain.compiler,
      builtAt: new Date().toISOString(),
      buildSeconds: Math.round((performance.now() - this.#startedAt) / 1000),
      binaryBytes: (await stat(temporary)).size,
    };
    await rm(join(folder, MANIFEST_NAME), { force: true });
    await rename(temporary, this.#path);
    await writeFileAtomic(join(folder, MANIFEST_NAME), `${JSON.stringify(manifest, null, 2)}\n`);
    return manifest;
  }

  #explain(error: unknown, logFile: string): unknown {
    if (this.#options.signal?.aborted || (isAssistantError(error) && error.cause === undefined)) return error;
    const detail = (error as { stderr?: string }).stderr || (error as Error).message;
    const code = isAssistantError(error)
      ? error.code
      : /No space left|ENOSPC/u.test(detail)
        ? "disk_full"
        : "engine_build_failed";
    const remedy =
      code === "disk_full"
        ? "Free 1 GB, then run it again: it goes on where it stopped."
        : `The whole output is in ${logFile}.${this.#toolchain.cuda ? " `--no-cuda` builds for the CPU alone." : ""}`;
    return new AssistantError(code, `Building llama-server failed.\n${detail}`, { remedy, cause: error });
  }

  #report(phase: BuildPhase, fraction: number | null): void {
    this.#options.onProgress({ phase, fraction, elapsedMs: performance.now() - this.#startedAt });
  }
}
