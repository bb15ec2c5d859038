import { createHash } from "node:crypto";
import type { BuildManifest } from "./manifest.ts";
import type { Source } from "./source.ts";
import type { Toolchain } from "./toolchain.ts";

/** Everything that decides what comes out of a build. */
export interface BuildPlan {
  readonly source: Source;
  readonly flags: readonly string[];
  readonly backends: readonly string[];
  /** Names the work folder, so that an interrupted build goes on only where nothing has changed. */
  readonly fingerprint: string;
}

// No web page, TLS or test programs: the engine is reached over a Unix socket by our gateway alone.
const commonFlags = [
  "-DCMAKE_BUILD_TYPE=Release",
  "-DBUILD_SHARED_LIBS=OFF",
  "-DLLAMA_BUILD_UI=OFF",
  "-DLLAMA_USE_PREBUILT_UI=OFF",
  "-DLLAMA_OPENSSL=OFF",
  "-DLLAMA_BUILD_TESTS=OFF",
  "-DLLAMA_BUILD_EXAMPLES=OFF",
];

export function planBuild(source: Source, toolchain: Toolchain, platform: NodeJS.Platform): BuildPlan {
  const flags = [...commonFlags];
  const backends = ["cpu"];
  if (toolchain.cuda) {
    flags.push("-DGGML_CUDA=ON");
    // Older CMake does not know "native"; llama.cpp then builds for all architectures, which takes longer.
    if (atLeast(toolchain.cmakeVersion, 3, 24)) flags.push("-DCMAKE_CUDA_ARCHITECTURES=native");
    backends.push("cuda");
  }
  if (platform === "darwin") backends.push("metal");
  const identity = JSON.stringify([
    source.commit,
    source.patches.map((patch) => patch.sha256),
    flags,
    toolchain.compiler,
    toolchain.generator,
  ]);
  return { source, flags, backends, fingerprint: createHash("sha256").update(identity).digest("hex").slice(0, 12) };
}

/** cmake's further arguments for linking against prebuilt libraries. The program finds them, and ggml's, in its own folder. */
export const linkFlags = (libraries: string): string[] => [
  `-DPREBUILT_LIBRARIES=${libraries}`,
  "-DBUILD_SHARED_LIBS=ON",
  // One file for each library, without the links that name its versions.
  "-DCMAKE_PLATFORM_NO_VERSIONED_SONAME=ON",
  "-DCMAKE_BUILD_WITH_INSTALL_RPATH=ON",
  "-DCMAKE_INSTALL_RPATH=$ORIGIN",
];

function atLeast(version: string, major: number, minor: number): boolean {
  const [haveMajor = 0, haveMinor = 0] = version.split(".").map(Number);
  return haveMajor > major || (haveMajor === major && haveMinor >= minor);
}

export const sameSource = (manifest: BuildManifest, source: Source): boolean =>
  manifest.sourceCommit === source.commit &&
  manifest.patches.length === source.patches.length &&
  manifest.patches.every((patch, index) => patch.sha256 === source.patches[index]?.sha256);

export const sameBuild = (manifest: BuildManifest, plan: BuildPlan): boolean =>
  sameSource(manifest, plan.source) &&
  manifest.flags.length === plan.flags.length &&
  manifest.flags.every((flag, index) => flag === plan.flags[index]);

/** One compiler job needs about this much; more jobs than memory allows end in the kernel's OOM killer. */
const JOB_BYTES = 1.5 * 2 ** 30;

export const jobCount = (cores: number, memoryBytes: number): number =>
  Math.max(1, Math.min(cores, Math.floor(memoryBytes / JOB_BYTES)));
