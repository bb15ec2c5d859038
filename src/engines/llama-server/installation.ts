import { execFile } from "node:child_process";
import { constants } from "node:fs";
import { access, realpath, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import type { EngineAvailability } from "../../core/engine.ts";
import { type EngineFolder, readEngineChoice } from "../choice.ts";
import {
  type BuildManifest,
  CACHE_SCOPES_PATCH,
  carriesPatch,
  DEPARTED_CLIENTS_PATCH,
  GRANTED_THREADS_PATCH,
  readManifest,
} from "./build/manifest.ts";
import { currentRecipe, outdatedParts } from "./build/recipe.ts";
import { listBuilds } from "./builds.ts";
import { builtBinary } from "./layout.ts";
import { flagsOf } from "./settings.ts";

/**
 * How a llama-server came to be considered. `configured`: config.toml; `chosen`: `assistant engine use PATH`; `built`:
 * the build that is used; `other build`: one that only counts after `assistant engine use VERSION`.
 */
export type EngineOrigin = "configured" | "chosen" | "built" | "path" | "other build";

export type FoundEngine =
  | (Extract<EngineAvailability, { available: true }> & {
      readonly origin: EngineOrigin;
      /** Null for a binary that `assistant engine build` did not make. */
      readonly manifest: BuildManifest | null;
      /** It reads how many threads to use from a file, before each batch. */
      readonly followsThreads: boolean;
    })
  | (Extract<EngineAvailability, { available: false }> & {
      readonly path: string | null;
      readonly origin: EngineOrigin | null;
    });

const PROBE_TIMEOUT_MS = 10_000;
const BUILD_REMEDY = "Run `assistant engine build` to build it from the source that came with the installation.";

/**
 * The llama-server used here: the configured one, otherwise the selected one, otherwise the built one, otherwise the
 * first on `pathVariable`. An explicitly named one that cannot run is returned as unavailable: silently falling back
 * would use a program the user did not mean. Runs the binary once (`--version`), milliseconds without a GPU.
 */
export async function findLlamaServer(
  folder: EngineFolder,
  configuredPath: string | null,
  pathVariable: string,
): Promise<FoundEngine> {
  const [first] = await candidates(folder, configuredPath, pathVariable);
  if (first) return inspectLlamaServer(first.path, first.origin);
  return {
    available: false,
    path: null,
    origin: null,
    reason: "No llama-server is configured, built or on the PATH.",
    remedy: BUILD_REMEDY,
  };
}

/** Every llama-server there is, the used one first. For `engine list`. */
export async function listLlamaServers(
  folder: EngineFolder,
  configuredPath: string | null,
  pathVariable: string,
): Promise<FoundEngine[]> {
  const found = await candidates(folder, configuredPath, pathVariable);
  for (const { path } of await listBuilds(folder.enginesDir))
    if (!found.some((candidate) => candidate.path === path)) found.push({ path, origin: "other build" });
  return Promise.all(found.map(({ path, origin }) => inspectLlamaServer(path, origin)));
}

interface Candidate {
  readonly path: string;
  readonly origin: EngineOrigin;
}

async function candidates(
  folder: EngineFolder,
  configuredPath: string | null,
  pathVariable: string,
): Promise<Candidate[]> {
  const found: Candidate[] = [];
  if (configuredPath !== null) found.push({ path: configuredPath, origin: "configured" });
  const { llamaServerPath } = await readEngineChoice(folder);
  if (llamaServerPath !== null) found.push({ path: llamaServerPath, origin: "chosen" });
  const built = builtBinary(folder.enginesDir);
  // The version itself, not the link to it, so that a running program keeps its files.
  if (await isExecutable(built)) found.push({ path: await realpath(built), origin: "built" });
  for (const folder of pathVariable.split(delimiter)) {
    // A relative entry of the PATH would mean another program in every directory.
    const path = join(folder, "llama-server");
    if (isAbsolute(folder) && (await isExecutable(path))) found.push({ path, origin: "path" });
  }
  return found.filter((candidate, index) => found.findIndex(({ path }) => path === candidate.path) === index);
}

async function isExecutable(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** What the llama-server at `path` is, or why it cannot be used. */
export async function inspectLlamaServer(path: string, origin: EngineOrigin): Promise<FoundEngine> {
  const manifest = await readManifest(path);
  const [versionText, devicesText] = await Promise.all([
    output(path, "--version"),
    manifest ? "" : output(path, "--list-devices"),
  ]);
  const version = versionText instanceof Error ? null : /^version:\s*(.+)$/mu.exec(versionText)?.[1]?.trim();
  if (version === null || version === undefined) {
    const reason =
      versionText instanceof Error
        ? `${path} does not run: ${versionText.message.trim()}`
        : `${path} --version does not answer as a llama-server would.`;
    return {
      available: false,
      path,
      origin,
      reason,
      remedy: remedyFor(origin),
    };
  }
  const backends = manifest?.backends ?? (devicesText instanceof Error ? ["cpu"] : backendsOf(devicesText));
  const noticesDisconnects = carriesPatch(manifest, DEPARTED_CLIENTS_PATCH);
  // It is used anyway, whether or not a new one could be built.
  const recipe = manifest === null ? null : await currentRecipe().catch(() => null);
  const parts = manifest === null || recipe === null ? null : outdatedParts(manifest, recipe);
  return {
    available: true,
    path,
    origin,
    version,
    backends,
    noticesDisconnects,
    separatesCaches: carriesPatch(manifest, CACHE_SCOPES_PATCH),
    followsThreads: carriesPatch(manifest, GRANTED_THREADS_PATCH),
    ...(parts === null ? {} : { outdated: { parts, remedy: renewalOf(origin) } }),
    manifest,
  };
}

const renewalOf = (origin: EngineOrigin): string => {
  if (origin === "configured") return "Run `assistant engine build`, and remove `[engine] llama_server_path`.";
  if (origin === "chosen") return "Run `assistant engine build`, then `assistant engine use auto`.";
  return "Run `assistant engine build`.";
};

const remedyFor = (origin: EngineOrigin): string => {
  if (origin === "configured") return "Correct `[engine] llama_server_path` in config.toml, or remove it.";
  if (origin === "chosen")
    return "Run `assistant engine use auto`, or `assistant engine use PATH` with a llama-server that runs.";
  if (origin === "built" || origin === "other build")
    return "Run `assistant engine build --force`, or choose another build with `assistant engine use VERSION`.";
  return BUILD_REMEDY;
};

/** `CUDA0: NVIDIA …` lines name the devices of every GPU backend; the CPU has no line. */
export function backendsOf(listDevices: string): string[] {
  const names = [...listDevices.matchAll(/^\s+([A-Za-z]+)\d*: /gmu)].map((match) => (match[1] ?? "").toLowerCase());
  return ["cpu", ...new Set(names.filter((name) => name !== "cpu" && name !== "blas"))];
}

/** The flags supported by the program; null if it does not list them. */
export async function helpOf(path: string): Promise<ReadonlySet<string> | null> {
  const help = await output(path, "--help");
  const flags = typeof help === "string" ? flagsOf(help) : new Set<string>();
  return flags.size === 0 ? null : flags;
}

/** What the program prints on both streams, or why it could not be run. */
function output(path: string, argument: string): Promise<string | Error> {
  return new Promise((resolve) => {
    execFile(path, [argument], { timeout: PROBE_TIMEOUT_MS, killSignal: "SIGKILL" }, (error, stdout, stderr) => {
      if (!error) resolve(`${stdout}\n${stderr}`);
      else if (error.code === "ENOENT") resolve(new Error("there is no such file"));
      else
        resolve(
          new Error(
            error.killed
              ? `no answer to ${argument} within ${PROBE_TIMEOUT_MS / 1000} s`
              : stderr.trim() || error.message,
          ),
        );
    });
  });
}
