import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { availableParallelism, totalmem } from "node:os";
import { dirname, join } from "node:path";
import lockfile from "proper-lockfile";
import type { DeviceVendor } from "../../../core/device.ts";
import { AssistantError, isAssistantError } from "../../../core/errors.ts";
import { type Build, chooseBuild, compiledAlike, listBuilds, migrateBuilds, placeBuild } from "../builds.ts";
import { buildsFolder } from "../layout.ts";
import { type GpuBackend, type GpuLibrary, gpuBackendFor, gpuLibraries } from "./gpu.ts";
import { checkDevices, installFiles, writeManifest } from "./install.ts";
import { type BuildManifest, readManifest } from "./manifest.ts";
import { type BuildPlan, jobCount, linkFlags, planBuild, sameSource } from "./plan.ts";
import { type BuildPhase, type BuildProgress, fractionOf, reasonOf } from "./progress.ts";
import { findSource, prepareSource, type Source } from "./source.ts";
import { streamLines, type ToolOptions, toolRunner } from "./tool.ts";
import { findToolchain, missingToolchain, type Toolchain } from "./toolchain.ts";

export interface BuildOptions extends ToolOptions {
  readonly enginesDir: string;
  /** Without our patches; never used automatically. */
  readonly stock: boolean;
  /** Compile all of llama.cpp, although libraries of it came with the packages. */
  readonly fromSource: boolean;
  /** Build although the same build is installed. */
  readonly force: boolean;
  /** Leave the source and object files (about 600 MB) for later inspection. */
  readonly keep: boolean;
  /** Vendors of the GPUs to build for; none: for the CPU only. */
  readonly gpus: readonly DeviceVendor[];
  /** Compilers at once; null: as many as cores, less where memory is short. */
  readonly jobs: number | null;
  /** Another source than the one that comes with the packages. */
  readonly source?: Source;
  /** Has the new program load a model and answer. Rejects with the reason why it cannot be used. */
  probe(program: string): Promise<void>;
  readonly onProgress: (progress: BuildProgress) => void;
}

export interface BuildResult {
  readonly version: string;
  readonly path: string;
  readonly manifest: BuildManifest;
  /** False where the same build was there already. */
  readonly built: boolean;
}

/**
 * Builds llama-server from the source bundle and installs it under `enginesDir`; minutes. It is used from the next
 * start of a model on, unless `stock`, and only if it passes its check: what was used before stays otherwise. What an
 * interrupted build has compiled is used by the next one. Throws `engine_build_failed` (missing tools, compiler errors,
 * a failed check), `disk_full`, `not_writable`, or the signal's reason.
 */
export async function buildLlamaServer(options: BuildOptions): Promise<BuildResult> {
  const { enginesDir, stock, fromSource, force } = options;
  const run = toolRunner(options);
  await migrateBuilds(enginesDir);
  const gpu = gpuBackendFor(options.gpus, process.platform, process.arch);
  const compilesCuda = options.gpus.includes("nvidia") && (stock || fromSource || gpu === null);
  const [search, source, builds] = await Promise.all([
    findToolchain(run, compilesCuda),
    options.source ?? findSource(run, stock),
    listBuilds(enginesDir),
  ]);
  const installed = (isIt: (build: Build & { manifest: BuildManifest }) => boolean): BuildResult | null => {
    for (const { version, path, manifest, current } of force ? [] : builds)
      if (manifest && isIt({ version, path, manifest, current })) return { version, path, manifest, built: false };
    return null;
  };
  if (!search.complete) {
    // The tools may have gone since; what they built is as good as before. Without git the commit cannot be compared.
    const found = installed(({ manifest, current }) => (source.commit === "" ? current : sameSource(manifest, source)));
    if (found) return found;
    throw await missingToolchain(search.missing);
  }
  const plan = planBuild(source, search.toolchain, process.platform, { stock, fromSource, gpu });
  const found = installed(({ version }) => version === plan.version);
  if (found) {
    if (!stock) await chooseBuild(enginesDir, found.version);
    return found;
  }
  const workRoot = join(enginesDir, ".build");
  const release = await lockWork(workRoot);
  try {
    const work = join(workRoot, plan.version);
    await removeLeftovers(enginesDir, workRoot, options.keep ? null : plan.version);
    // For another GPU nothing need be compiled.
    const twin = force
      ? undefined
      : builds.find(({ version, manifest }) => {
          return manifest?.libraries === "prebuilt" && plan.linked && compiledAlike(version, plan.version);
        });
    const path = await new Builder(options, plan, search.toolchain, work, twin ?? null).run();
    if (!stock) await chooseBuild(enginesDir, plan.version);
    if (!options.keep) await rm(work, { recursive: true, force: true });
    const manifest = await readManifest(path);
    if (manifest === null) throw new AssistantError("internal", `The manifest next to ${path} cannot be read.`);
    return { version: plan.version, path, manifest, built: true };
  } finally {
    await release().catch(() => {});
  }
}

async function lockWork(workRoot: string): Promise<() => Promise<void>> {
  await mkdir(workRoot, { recursive: true });
  // A lock that was lost (its folder deleted by hand) is no reason to throw into the void, as the default does.
  return lockfile.lock(workRoot, { stale: 30_000, onCompromised: () => {} }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "ELOCKED") throw error;
    throw new AssistantError("engine_build_failed", `Another build is under way in ${workRoot}.`, {
      remedy: "Wait for it to end, then try again.",
      cause: error,
    });
  });
}

/** Folders left by a killed build, and trees that no build will resume; `going` is the one to resume. */
async function removeLeftovers(enginesDir: string, workRoot: string, going: string | null): Promise<void> {
  const builds = buildsFolder(enginesDir);
  for (const name of await readdir(builds).catch(() => []))
    if (name.startsWith(".")) await rm(join(builds, name), { recursive: true, force: true });
  if (going === null) return;
  for (const name of await readdir(workRoot))
    if (name !== going) await rm(join(workRoot, name), { recursive: true, force: true });
}

class Builder {
  readonly #startedAt = performance.now();
  readonly #options: BuildOptions;
  readonly #plan: BuildPlan;
  readonly #toolchain: Toolchain;
  readonly #work: string;
  /** The build until it has proved to run. */
  readonly #staging: string;
  /** A build with the same program. */
  readonly #twin: Build | null;

  constructor(options: BuildOptions, plan: BuildPlan, toolchain: Toolchain, work: string, twin: Build | null) {
    this.#options = options;
    this.#plan = plan;
    this.#toolchain = toolchain;
    this.#work = work;
    this.#twin = twin;
    this.#staging = join(buildsFolder(options.enginesDir), `.new.${process.pid}`);
  }

  /** Returns where the program is. */
  async run(): Promise<string> {
    await mkdir(this.#work, { recursive: true });
    const logFile = join(this.#work, "build.log");
    const log = createWriteStream(logFile);
    try {
      const libraries = await this.#compile(log);
      await this.#check(libraries);
      const buildSeconds = Math.round((performance.now() - this.#startedAt) / 1000);
      await writeManifest(this.#staging, this.#plan, {
        libraries: libraries === null ? "compiled" : "prebuilt",
        compiler: this.#toolchain.compiler,
        buildSeconds,
      });
      return await placeBuild(this.#options.enginesDir, this.#staging, this.#plan.version);
    } catch (error) {
      await rm(this.#staging, { recursive: true, force: true });
      throw this.#explain(error, logFile);
    } finally {
      log.end();
      await once(log, "close");
    }
  }

  /** Leaves the new build in its folder. Returns where the libraries are that it was linked against, or null. */
  async #compile(log: WriteStream): Promise<string | null> {
    const { libraries } = this.#plan.source;
    if (this.#twin !== null) {
      await installFiles(this.#staging, dirname(this.#twin.path), libraries);
      return libraries;
    }
    this.#report("unpack", null);
    const source = join(this.#work, "source");
    await prepareSource(toolRunner(this.#options), this.#plan.source, source);
    const linked = await this.#tryLinking(log, source);
    if (linked === null) await this.#make(log, source, null);
    return linked;
  }

  /** Null where the libraries that came with the packages do not fit this machine, such as one with an older libc. */
  async #tryLinking(log: WriteStream, source: string): Promise<string | null> {
    const { libraries } = this.#plan.source;
    if (libraries === null || !this.#plan.linked) return null;
    try {
      await this.#make(log, source, libraries);
      return libraries;
    } catch (error) {
      if (this.#options.signal?.aborted || (isAssistantError(error) && error.code !== "engine_build_failed"))
        throw error;
      log.write(
        `Linking against the prebuilt libraries failed: ${(error as Error).message}\nCompiling all of it instead.\n`,
      );
      return null;
    }
  }

  async #make(log: WriteStream, source: string, libraries: string | null): Promise<void> {
    const objects = join(this.#work, libraries === null ? "objects" : "linked");
    const flags = [...this.#plan.flags, ...(libraries === null ? [] : linkFlags(libraries))];
    this.#report("configure", null);
    await this.#step(log, ["-G", this.#toolchain.generator, "-S", source, "-B", objects, ...flags]);
    this.#report("compile", 0);
    const jobs = this.#options.jobs ?? jobCount(availableParallelism(), totalmem());
    await this.#step(log, ["--build", objects, "--target", "llama-server", "--config", "Release", "-j", String(jobs)]);
    this.#report("install", null);
    const program = await installFiles(this.#staging, join(objects, "bin"), libraries);
    await toolRunner(this.#options)(program, ["--version"]);
  }

  /**
   * Whether the new program can be used: with the GPUs it is for, and with a model. Of the libraries for a GPU the
   * first that does is taken.
   */
  async #check(libraries: string | null): Promise<void> {
    const { gpu } = this.#plan;
    if (gpu === null || libraries === null) return this.#probe();
    const reasons: string[] = [];
    for (const library of gpuLibraries[gpu]) {
      try {
        await this.#addLibrary(gpu, library);
        return await this.#probe();
      } catch (error) {
        if (this.#options.signal?.aborted || gpuLibraries[gpu].length === 1) throw error;
        reasons.push(`With ${library.title}: ${(error as Error).message}`);
      }
    }
    throw new AssistantError("engine_build_failed", `llama-server was built, and no GPU works. ${reasons.join(" ")}`, {
      remedy:
        "Update the GPU's driver; or, with the CUDA toolkit installed, " +
        "compile all of it: `assistant engine build --from-source`. `--no-gpu` builds for the CPU alone.",
    });
  }

  async #addLibrary(gpu: GpuBackend, library: GpuLibrary): Promise<void> {
    this.#report("fetch", null);
    const cache = join(this.#options.enginesDir, ".packages");
    const place = { tag: this.#plan.source.tag, cache, folder: this.#staging };
    await checkDevices(toolRunner(this.#options), gpu, library, place);
  }

  async #probe(): Promise<void> {
    this.#report("check", null);
    try {
      await this.#options.probe(join(this.#staging, "llama-server"));
    } catch (error) {
      if (this.#options.signal?.aborted) throw error;
      throw new AssistantError(
        "engine_build_failed",
        `llama-server was built and failed its check: ${(error as Error).message}`,
        { remedy: "The previous build stays in use. `assistant engine build --from-source` compiles all of it." },
      );
    }
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

  #explain(error: unknown, logFile: string): unknown {
    const isExplained = isAssistantError(error) && (error.cause === undefined || error.remedy !== null);
    if (this.#options.signal?.aborted || isExplained) return error;
    const detail = (error as { stderr?: string }).stderr || (error as Error).message;
    const code = isAssistantError(error)
      ? error.code
      : /No space left|ENOSPC/u.test(detail)
        ? "disk_full"
        : "engine_build_failed";
    const remedy =
      code === "disk_full"
        ? "Free 1 GB, then run it again: it resumes where it stopped."
        : `The whole output is in ${logFile}.${this.#toolchain.cuda ? " `--no-gpu` builds for the CPU alone." : ""}`;
    return new AssistantError(code, `Building llama-server failed.\n${detail}`, { remedy, cause: error });
  }

  #report(phase: BuildPhase, fraction: number | null): void {
    this.#options.onProgress({ phase, fraction, elapsedMs: performance.now() - this.#startedAt });
  }
}
