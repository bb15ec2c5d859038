import { describe, expect, it } from "vitest";
import type { BuildManifest } from "../../../../src/engines/llama-server/build/manifest.ts";
import { jobCount, type PlanWishes, planBuild, sameSource } from "../../../../src/engines/llama-server/build/plan.ts";
import type { Source } from "../../../../src/engines/llama-server/build/source.ts";
import type { Toolchain } from "../../../../src/engines/llama-server/build/toolchain.ts";

const source: Source = {
  bundle: "/b",
  tag: "v1",
  commit: "abc",
  patches: [{ name: "0001-x.patch", file: "/p", sha256: "1".repeat(64) }],
  libraries: null,
};
const toolchain: Toolchain = { generator: "Ninja", compiler: "c++ 12", cmakeVersion: "3.25.1", cuda: false };

const usual: PlanWishes = { stock: false, fromSource: false, gpu: null };
const plan = (from: Partial<Source> = {}, tools: Partial<Toolchain> = {}, wishes: Partial<PlanWishes> = {}) =>
  planBuild({ ...source, ...from }, { ...toolchain, ...tools }, "linux", { ...usual, ...wishes });
const compiled = { libraries: "/libraries" };

describe("the plan of a build", () => {
  it("builds a static release without web page, TLS, tests and examples", () => {
    const { flags, backends } = plan();
    for (const flag of [
      "-DCMAKE_BUILD_TYPE=Release",
      "-DBUILD_SHARED_LIBS=OFF",
      "-DLLAMA_BUILD_UI=OFF",
      "-DLLAMA_OPENSSL=OFF",
    ])
      expect(flags).toContain(flag);
    expect(flags.join(" ")).not.toContain("CUDA");
    expect(backends).toEqual(["cpu"]);
  });

  it("links where compiled libraries are there, and compiles all of it on request", () => {
    expect(plan().linked).toBe(false);
    expect(plan(compiled).linked).toBe(true);
    expect(plan(compiled, {}, { fromSource: true }).linked).toBe(false);
  });

  it("adds the compiled library for a GPU, and needs no nvcc for it", () => {
    const { flags, backends, gpu, version } = plan(compiled, {}, { gpu: "cuda" });
    expect({ backends, gpu }).toEqual({ backends: ["cpu", "cuda"], gpu: "cuda" });
    expect(flags.join(" ")).not.toContain("CUDA");
    expect(version).toMatch(/^v1-cuda-[0-9a-f]{8}$/u);
    // One compilation serves every GPU, so that an interrupted one goes on.
    expect(plan(compiled, {}, { gpu: "vulkan" }).flags).toEqual(flags);
  });

  it("compiles for CUDA with nvcc where no compiled library is wanted, for this machine's GPU alone where cmake can", () => {
    const recent = plan(compiled, { cuda: true });
    expect(recent).toMatchObject({ linked: false, gpu: null, backends: ["cpu", "cuda"] });
    expect(recent.flags).toEqual(expect.arrayContaining(["-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=native"]));
    expect(plan({}, { cuda: true, cmakeVersion: "3.22.1" }).flags).not.toContain("-DCMAKE_CUDA_ARCHITECTURES=native");
  });

  it("gives another version to whatever would not be the same", () => {
    const versions = [
      plan(),
      plan({ commit: "abd" }),
      plan({ patches: [] }),
      plan(compiled),
      plan(compiled, {}, { gpu: "cuda" }),
      plan({}, { cuda: true }),
      plan({}, { compiler: "c++ 13" }),
      plan({}, { generator: "Unix Makefiles" }),
      plan({}, {}, { stock: true }),
    ].map(({ version }) => version);
    expect(new Set(versions).size).toBe(versions.length);
    expect(plan().version).toBe(versions[0]);
  });

  it("knows a build of the same source by commit and patches", () => {
    const manifest = { sourceCommit: "abc", patches: source.patches } as unknown as BuildManifest;
    expect(sameSource(manifest, source)).toBe(true);
    expect(sameSource({ ...manifest, patches: [] }, source)).toBe(false);
    expect(sameSource({ ...manifest, sourceCommit: "abd" }, source)).toBe(false);
  });

  it("runs as many compilers as cores, fewer where memory is short, never none", () => {
    expect(jobCount(8, 64 * 2 ** 30)).toBe(8);
    expect(jobCount(8, 4 * 2 ** 30)).toBe(2);
    expect(jobCount(2, 2 ** 29)).toBe(1);
  });
});
