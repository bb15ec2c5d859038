import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile, rename, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AssistantError } from "../../../core/errors.ts";
import { packageRoot } from "../../../core/package.ts";
import type { RunTool } from "./tool.ts";

/** llama.cpp's source as node-llama-cpp's package carries it, and what we change in it. */
export interface Source {
  /** git bundle; cloning it needs no network. */
  readonly bundle: string;
  readonly tag: string;
  readonly commit: string;
  readonly patches: readonly { readonly name: string; readonly file: string; readonly sha256: string }[];
  /**
   * Folder with libllama-common, libllama and ggml's, compiled from this source for this platform; null if there are
   * none.
   */
  readonly libraries: string | null;
}

const sourceFolder = (): string => join(dirname(fileURLToPath(import.meta.resolve("node-llama-cpp"))), "..", "llama");

/** The release of llama.cpp that node-llama-cpp's package carries. */
export async function pinnedTag(): Promise<string> {
  const text = await readFile(join(sourceFolder(), "llama.cpp.info.json"), "utf8");
  return (JSON.parse(text) as { readonly tag: string }).tag;
}

/** Facts of the source on this machine. With `stock` without our patches. */
export async function findSource(run: RunTool, stock: boolean): Promise<Source> {
  const bundle = join(sourceFolder(), "gitRelease.bundle");
  if (!existsSync(bundle)) {
    throw new AssistantError(
      "engine_build_failed",
      `The source bundle of llama.cpp is missing: expected it at ${bundle}.`,
      {
        remedy: "Run ./install.sh again: it restores the package that contains it.",
      },
    );
  }
  const tag = await pinnedTag();
  const heads = await run("git", ["bundle", "list-heads", bundle]).catch(() => "");
  const [patches, libraries] = stock ? [[], null] : await Promise.all([findPatches(), findLibraries(tag)]);
  return { bundle, tag, commit: heads.slice(0, 12), patches, libraries };
}

/** The used parts of the description of libraries in node-llama-cpp's package for this platform. */
interface LibraryMetadata {
  readonly buildOptions?: {
    readonly gpu?: unknown;
    readonly customCmakeOptions?: object;
    readonly llamaCpp?: { readonly release?: string };
  };
}

/** The prebuilt libraries of the release `tag`. Only on Linux, where the program finds them in its own folder. */
async function findLibraries(tag: string): Promise<string | null> {
  if (process.platform !== "linux") return null;
  const folder = packageFolder(`linux-${process.arch}`);
  return folder && librariesIn(folder, tag, false);
}

/** The libraries in one of node-llama-cpp's platform packages; null if it is not installed. */
export function packageFolder(name: string): string | null {
  try {
    const main = createRequire(import.meta.resolve("node-llama-cpp")).resolve(`@node-llama-cpp/${name}`);
    return join(dirname(main), "..", "bins", name);
  } catch {
    return null;
  }
}

/** `folder`, if its libraries are of the release `tag` and for `gpu` (false: CPU only); null otherwise. */
export async function librariesIn(folder: string, tag: string, gpu: string | false): Promise<string | null> {
  try {
    const { buildOptions } = JSON.parse(
      await readFile(join(folder, "_nlcBuildMetadata.json"), "utf8"),
    ) as LibraryMetadata;
    const usable =
      buildOptions?.llamaCpp?.release === tag &&
      buildOptions.gpu === gpu &&
      Object.keys(buildOptions.customCmakeOptions ?? {}).length === 0;
    return usable ? folder : null;
  } catch {
    // A package of another shape: everything is compiled.
    return null;
  }
}

/** Our changes, in the order in which they are applied. */
export async function findPatches(): Promise<Source["patches"]> {
  // Patches stay where the sources are: the compiled program in dist/ has no copy.
  const folder = join(packageRoot, "src", "engines", "llama-server", "patches");
  const names = (await readdir(folder)).filter((name) => name.endsWith(".patch")).sort();
  return Promise.all(
    names.map(async (name) => {
      const file = join(folder, name);
      return {
        name,
        file,
        sha256: createHash("sha256")
          .update(await readFile(file))
          .digest("hex"),
      };
    }),
  );
}

/** What llama-server is compiled from: without the models and pictures for its tests, which are most of its size. */
const COMPILED_FOLDERS = ["app", "cmake", "common", "ggml", "include", "licenses", "scripts", "src", "tools", "vendor"];

/** Thousands of files: seconds on an idle machine, a minute on a busy one or a slow disk. */
const UNPACK_TIMEOUT_MS = 15 * 60_000;

/** Unpacks and patches the source into `target`, or leaves it as it is where that was done before. */
export async function prepareSource(run: RunTool, source: Source, target: string): Promise<void> {
  if (existsSync(target)) return;
  // Only a complete, patched tree gets the final name: an interrupted extraction starts over.
  const partial = `${target}.partial`;
  await rm(partial, { recursive: true, force: true });
  await run(
    "git",
    ["-c", "core.autocrlf=false", "clone", "--quiet", "--no-checkout", source.bundle, partial],
    UNPACK_TIMEOUT_MS,
  );
  await run("git", ["-C", partial, "sparse-checkout", "set", "--cone", ...COMPILED_FOLDERS], UNPACK_TIMEOUT_MS);
  await run(
    "git",
    ["-C", partial, "-c", "advice.detachedHead=false", "-c", "core.autocrlf=false", "checkout", "--quiet"],
    UNPACK_TIMEOUT_MS,
  );
  for (const patch of source.patches) await run("git", ["-C", partial, "apply", "--whitespace=nowarn", patch.file]);
  await rename(partial, target);
}
