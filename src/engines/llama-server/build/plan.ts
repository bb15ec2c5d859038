import { versionName } from "../builds.ts";
import type { GpuBackend } from "./gpu.ts";
import type { BuildManifest } from "./manifest.ts";
import type { Source } from "./source.ts";
import type { Toolchain } from "./toolchain.ts";

/** Everything that decides what comes out of a build. */
export interface BuildPlan {
  readonly source: Source;
  readonly flags: readonly string[];
  readonly backends: readonly string[];
  /**
   * A backend whose prebuilt library is installed next to the program; null for the CPU only, and if it is compiled
   * here.
   */
  readonly gpu: GpuBackend | null;
  /** Whether the server is linked against compiled libraries. */
  readonly linked: boolean;
  /** Identifies the build and its work folder: an interrupted build is only resumed if nothing has changed. */
  readonly version: string;
}

export interface PlanWishes {
  /** Without our patches. */
  readonly stock: boolean;
  /** Compile all of llama.cpp, although libraries of it came with the packages. */
  readonly fromSource: boolean;
  /** Backend of the GPU that was found, if its library comes compiled. */
  readonly gpu: GpuBackend | null;
}

// No web page, TLS or test programs: the engine is only reached over a Unix socket by our gateway.
export const commonFlags = [
  "-DCMAKE_BUILD_TYPE=Release",
  "-DBUILD_SHARED_LIBS=OFF",
  "-DLLAMA_BUILD_UI=OFF",
  "-DLLAMA_USE_PREBUILT_UI=OFF",
  "-DLLAMA_OPENSSL=OFF",
  "-DLLAMA_BUILD_TESTS=OFF",
  "-DLLAMA_BUILD_EXAMPLES=OFF",
];

export function planBuild(
  source: Source,
  toolchain: Toolchain,
  platform: NodeJS.Platform,
  { stock, fromSource, gpu: wantedGpu }: PlanWishes,
): BuildPlan {
  const linked = source.libraries !== null && !fromSource && !(toolchain.cuda && wantedGpu === null);
  const gpu = linked ? wantedGpu : null;
  const flags = [...commonFlags];
  const backends = ["cpu", ...(gpu === null ? [] : [gpu])];
  if (toolchain.cuda && !linked) {
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
    linked,
    toolchain.compiler,
    toolchain.generator,
  ]);
  const words = [...(stock ? ["stock"] : []), ...backends.filter((backend) => backend !== "cpu")];
  const version = versionName(source.tag, words.map((word) => `${word}-`).join(""), identity);
  return { source, flags, backends, gpu, linked, version };
}

/**
 * cmake's further arguments for linking against compiled libraries. The program finds them, and ggml's backends, in its
 * own folder.
 */
export const linkFlags = (libraries: string): string[] => [
  `-DPREBUILT_LIBRARIES=${libraries}`,
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

/** One compiler job needs about this much; more jobs than memory allows end in the kernel's OOM killer. */
const JOB_BYTES = 1.5 * 2 ** 30;

export const jobCount = (cores: number, memoryBytes: number): number =>
  Math.max(1, Math.min(cores, Math.floor(memoryBytes / JOB_BYTES)));
