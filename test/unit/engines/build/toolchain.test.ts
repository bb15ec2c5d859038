import { describe, expect, it } from "vitest";
import type { RunTool } from "../../../../src/engines/llama-server/build/tool.ts";
import { findToolchain, installAdvice } from "../../../../src/engines/llama-server/build/toolchain.ts";

const machineWith =
  (outputs: Record<string, string>): RunTool =>
  async (program) => {
    const output = outputs[program];
    if (output === undefined) throw new Error(`spawn ${program} ENOENT`);
    return output;
  };

const basics = {
  git: "git version 2.39.5",
  cmake: "cmake version 3.25.1",
  "c++": "c++ (Debian) 12.2.0\nmore",
  make: "GNU Make 4.3",
};

describe("the toolchain", () => {
  it("is complete with git, cmake, a compiler and make, and prefers ninja", async () => {
    const plain = await findToolchain(machineWith(basics), true);
    expect(plain).toEqual({
      complete: true,
      toolchain: { generator: "Unix Makefiles", compiler: "c++ (Debian) 12.2.0", cmakeVersion: "3.25.1", cuda: false },
    });
    const { make: _, ...withoutMake } = basics;
    expect(await findToolchain(machineWith({ ...withoutMake, ninja: "1.11" }), true)).toMatchObject({
      toolchain: { generator: "Ninja" },
    });
  });

  it("names everything that is missing at once", async () => {
    expect(await findToolchain(machineWith({}), true)).toEqual({
      complete: false,
      missing: ["git", "cmake", "c++", "make"],
    });
  });

  it("uses CUDA only with both a compiler and a GPU, and not when told not to", async () => {
    const gpu = { nvcc: "nvcc: NVIDIA", "nvidia-smi": "GPU 0: NVIDIA H100 (UUID: GPU-1)" };
    const cuda = async (outputs: Record<string, string>, want = true) => {
      const search = await findToolchain(machineWith({ ...basics, ...outputs }), want);
      return search.complete && search.toolchain.cuda;
    };
    expect(await cuda(gpu)).toBe(true);
    expect(await cuda(gpu, false)).toBe(false);
    expect(await cuda({ nvcc: gpu.nvcc })).toBe(false);
    expect(await cuda({ ...gpu, "nvidia-smi": "No devices were found" })).toBe(false);
  });

  it("gives the install line of the system at hand", () => {
    const missing = ["cmake", "c++"] as const;
    expect(installAdvice(missing, "linux", "ID=debian\n")).toContain("sudo apt-get install cmake g++");
    expect(installAdvice(missing, "linux", 'ID=pop\nID_LIKE="ubuntu debian"\n')).toContain("apt-get");
    expect(installAdvice(missing, "linux", "ID=fedora\n")).toContain("sudo dnf install cmake gcc-c++");
    expect(installAdvice(missing, "linux", "ID=arch\n")).toContain("sudo pacman -S cmake gcc");
    expect(installAdvice(missing, "linux", "")).toContain("package manager");
    expect(installAdvice(missing, "darwin", "")).toContain("xcode-select --install && brew install cmake");
  });
});
