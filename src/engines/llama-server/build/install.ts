import { chmod, copyFile, mkdir, readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { AssistantError } from "../../../core/errors.ts";
import { backendsOf } from "../installation.ts";
import { PROGRAM } from "../layout.ts";
import { linkOrCopy } from "./copy.ts";
import { addCudaRuntime, addGpuLibrary, type GpuBackend, type GpuLibrary, missingLibraries } from "./gpu.ts";
import { type BuildManifest, MANIFEST_NAME } from "./manifest.ts";
import type { BuildPlan } from "./plan.ts";
import type { RunTool } from "./tool.ts";

/**
 * Puts the program and the libraries it was linked against into the new folder `staging`. Returns where the program is.
 */
export async function installFiles(staging: string, built: string, libraries: string | null): Promise<string> {
  await rm(staging, { recursive: true, force: true });
  await mkdir(staging, { recursive: true });
  const names = libraries === null ? [] : await readdir(libraries);
  for (const name of names.filter((entry) => /^lib.*\.so$/u.test(entry)))
    await linkOrCopy(join(libraries ?? "", name), join(staging, name));
  const program = join(staging, PROGRAM);
  await copyFile(join(built, PROGRAM), program);
  await chmod(program, 0o755);
  return program;
}

/** Adds what the program needs for its GPUs, and has it list them. Throws `engine_build_failed` where it sees none. */
export async function checkDevices(
  run: RunTool,
  backend: GpuBackend,
  library: GpuLibrary,
  place: { readonly tag: string; readonly cache: string; readonly folder: string },
): Promise<void> {
  await addGpuLibrary(run, backend, library, place);
  if (backend === "cuda") await addCudaRuntime(run, place.cache, place.folder);
  const devices = await run(join(place.folder, PROGRAM), ["--list-devices"]);
  if (backendsOf(devices).includes(backend)) return;
  const missing = missingLibraries(await run("ldd", [join(place.folder, `libggml-${backend}.so`)]));
  const reason = missing.length === 0 ? "the driver offers none" : `these libraries are missing: ${missing.join(", ")}`;
  throw new AssistantError("engine_build_failed", `The new llama-server finds no device for ${backend}: ${reason}.`, {
    remedy: "Install or update the GPU's driver, or build for the CPU alone with `assistant engine build --no-gpu`.",
  });
}

export async function writeManifest(
  folder: string,
  { source, flags, backends }: BuildPlan,
  facts: Pick<BuildManifest, "compiler" | "buildSeconds"> & { readonly libraries: "compiled" | "prebuilt" },
): Promise<void> {
  const manifest: BuildManifest = {
    schema: 1,
    engine: "llama-server",
    sourceTag: source.tag,
    sourceCommit: source.commit,
    patches: source.patches.map(({ name, sha256 }) => ({ name, sha256 })),
    flags,
    backends,
    ...facts,
    builtAt: new Date().toISOString(),
    binaryBytes: (await stat(join(folder, PROGRAM))).size,
  };
  await writeFile(join(folder, MANIFEST_NAME), `${JSON.stringify(manifest, null, 2)}\n`);
}
