import { readFile } from "node:fs/promises";
import { AssistantError } from "../../../core/errors.ts";
import { firstLine, type RunTool } from "./tool.ts";

/** What is needed to build llama-server, as found on this machine. */
export interface Toolchain {
  readonly generator: "Ninja" | "Unix Makefiles";
  /** First line of `c++ --version`. */
  readonly compiler: string;
  readonly cmakeVersion: string;
  /** CUDA compiler and a GPU it can build for. */
  readonly cuda: boolean;
}

export type ToolName = "git" | "cmake" | "c++" | "make";

export type ToolchainSearch =
  | { readonly complete: true; readonly toolchain: Toolchain }
  | { readonly complete: false; readonly missing: readonly ToolName[] };

/** Asks every tool for its version, all at once. */
export async function findToolchain(run: RunTool, wantCuda: boolean): Promise<ToolchainSearch> {
  const version = (tool: string, ...args: string[]) =>
    run(tool, args.length > 0 ? args : ["--version"]).then(firstLine, () => null);
  const [git, cmake, compiler, ninja, make, nvcc, gpus] = await Promise.all([
    version("git"),
    version("cmake"),
    version("c++"),
    version("ninja"),
    version("make"),
    wantCuda ? version("nvcc") : null,
    wantCuda ? version("nvidia-smi", "-L") : null,
  ]);
  if (git && cmake && compiler && (ninja || make)) {
    const cmakeVersion = /\d+\.\d+(\.\d+)?/u.exec(cmake)?.[0] ?? cmake;
    const cuda = nvcc !== null && gpus?.startsWith("GPU") === true;
    return {
      complete: true,
      toolchain: { generator: ninja ? "Ninja" : "Unix Makefiles", compiler, cmakeVersion, cuda },
    };
  }
  const missing: ToolName[] = [];
  if (!git) missing.push("git");
  if (!cmake) missing.push("cmake");
  if (!compiler) missing.push("c++");
  if (!ninja && !make) missing.push("make");
  return { complete: false, missing };
}

const toolTitles: Record<ToolName, string> = {
  git: "git",
  cmake: "cmake",
  "c++": "a C++ compiler (c++)",
  make: "make or ninja",
};

/** One install line per packaging system: what each calls the tools, and the command. */
const packagers = {
  apt: { command: "sudo apt-get install", names: { git: "git", cmake: "cmake", "c++": "g++", make: "ninja-build" } },
  dnf: { command: "sudo dnf install", names: { git: "git", cmake: "cmake", "c++": "gcc-c++", make: "ninja-build" } },
  pacman: { command: "sudo pacman -S", names: { git: "git", cmake: "cmake", "c++": "gcc", make: "ninja" } },
  zypper: { command: "sudo zypper install", names: { git: "git", cmake: "cmake", "c++": "gcc-c++", make: "ninja" } },
  apk: { command: "sudo apk add", names: { git: "git", cmake: "cmake", "c++": "g++", make: "ninja-build" } },
} as const satisfies Record<string, { command: string; names: Record<ToolName, string> }>;

const distributions: readonly (readonly [id: RegExp, packager: keyof typeof packagers])[] = [
  [/\b(debian|ubuntu)\b/u, "apt"],
  [/\b(fedora|rhel|centos)\b/u, "dnf"],
  [/\barch\b/u, "pacman"],
  [/suse/u, "zypper"],
  [/\balpine\b/u, "apk"],
];

/** How to install `missing`, in a sentence. `osRelease` is the text of /etc/os-release, "" if there is none. */
export function installAdvice(missing: readonly ToolName[], platform: NodeJS.Platform, osRelease: string): string {
  if (platform === "darwin") {
    const lines: string[] = [];
    if (missing.some((tool) => tool !== "cmake")) lines.push("xcode-select --install");
    if (missing.includes("cmake")) lines.push("brew install cmake");
    return `Run \`${lines.join(" && ")}\`, then \`assistant engine build\` again.`;
  }
  const ids = [...osRelease.matchAll(/^ID(?:_LIKE)?=(.*)$/gmu)].map((match) => match[1]).join(" ");
  const known = distributions.find(([id]) => id.test(ids));
  if (!known)
    return `Install ${missing.map((tool) => toolTitles[tool]).join(", ")} with this system's package manager, then run \`assistant engine build\` again.`;
  const { command, names } = packagers[known[1]];
  return `Run \`${command} ${missing.map((tool) => names[tool]).join(" ")}\`, then \`assistant engine build\` again.`;
}

export async function missingToolchain(missing: readonly ToolName[]): Promise<AssistantError> {
  const osRelease = await readFile("/etc/os-release", "utf8").catch(() => "");
  const names = missing.map((tool) => toolTitles[tool]).join(", ");
  return new AssistantError(
    "engine_build_failed",
    `Building llama-server needs git, cmake, make or ninja and a C++ compiler; this machine lacks ${names}.`,
    {
      remedy: installAdvice(missing, process.platform, osRelease),
    },
  );
}
