import { describe, expect, it } from "vitest";
import type { BuildManifest } from "../../../../src/engines/llama-server/build/manifest.ts";
import { jobCount, planBuild, sameBuild, sameSource } from "../../../../src/engines/llama-server/build/plan.ts";
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

const manifestOf = (flags: readonly string[]): BuildManifest => ({
  schema: 1,
  engine: "llama-server",
  sourceTag: "v1",
  sourceCommit: "abc",
  patches: [{ name: "0001-x.patch", sha256: "1".repeat(64) }],
  flags,
  backends: ["cpu"],
  compiler: "c++ 12",
  builtAt: "2026-01-01T00:00:00.000Z",
  buildSeconds: 1,
  binaryBytes: 1,
});

describe("the plan of a build", () => {
  it("builds a static release without web page, TLS, tests and examples", () => {
    const { flags, backends } = planBuild(source, toolchain, "linux");
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

  it("uses CUDA where it was found, for this machine's GPU alone where cmake can", () => {
    const recent = planBuild(source, { ...toolchain, cuda: true }, "linux");
    expect(recent.flags).toEqual(expect.arrayContaining(["-DGGML_CUDA=ON", "-DCMAKE_CUDA_ARCHITECTURES=native"]));
    expect(recent.backends).toEqual(["cpu", "cuda"]);
    const old = planBuild(source, { ...toolchain, cuda: true, cmakeVersion: "3.22.1" }, "linux");
    expect(old.flags).not.toContain("-DCMAKE_CUDA_ARCHITECTURES=native");
  });

  it("gives another work folder to whatever would not fit together", () => {
    const fingerprints = [
      planBuild(source, toolchain, "linux"),
      planBuild({ ...source, commit: "abd" }, toolchain, "linux"),
      planBuild({ ...source, patches: [] }, toolchain, "linux"),
      planBuild(source, { ...toolchain, cuda: true }, "linux"),
      planBuild(source, { ...toolchain, compiler: "c++ 13" }, "linux"),
      planBuild(source, { ...toolchain, generator: "Unix Makefiles" }, "linux"),
    ].map(({ fingerprint }) => fingerprint);
    expect(new Set(fingerprints).size).toBe(fingerprints.length);
    expect(planBuild(source, toolchain, "linux").fingerprint).toBe(fingerprints[0]);
  });

  it("recognises a build that is there already by source, patches and flags", () => {
    const plan = planBuild(source, toolchain, "linux");
    expect(sameBuild(manifestOf(plan.flags), plan)).toBe(true);
    expect(sameBuild(manifestOf([...plan.flags, "-DGGML_CUDA=ON"]), plan)).toBe(false);
    expect(sameSource({ ...manifestOf(plan.flags), patches: [] }, source)).toBe(false);
    expect(sameSource({ ...manifestOf(plan.flags), sourceCommit: "abd" }, source)).toBe(false);
  });

  it("runs as many compilers as cores, fewer where memory is short, never none", () => {
    expect(jobCount(8, 64 * 2 ** 30)).toBe(8);
    expect(jobCount(8, 4 * 2 ** 30)).toBe(2);
    expect(jobCount(2, 2 ** 29)).toBe(1);
  });
});
