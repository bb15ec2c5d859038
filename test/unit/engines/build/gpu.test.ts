import { createHash } from "node:crypto";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  addCudaRuntime,
  fetchPackage,
  gpuBackendFor,
  missingLibraries,
} from "../../../../src/engines/llama-server/build/gpu.ts";
import { type RunTool, toolRunner } from "../../../../src/engines/llama-server/build/tool.ts";

it("CUDA comes compiled for NVIDIA's GPUs and Vulkan for the others, on Linux on x64", () => {
  expect(gpuBackendFor(["nvidia", "cpu"], "linux", "x64")).toBe("cuda");
  expect(gpuBackendFor(["amd", "cpu"], "linux", "x64")).toBe("vulkan");
  expect(gpuBackendFor(["cpu"], "linux", "x64")).toBe(null);
  expect(gpuBackendFor(["nvidia", "cpu"], "linux", "arm64")).toBe(null);
  expect(gpuBackendFor(["apple", "cpu"], "darwin", "arm64")).toBe(null);
});

it("libraries that the linker misses are read from ldd", () => {
  const ldd =
    "\tlinux-vdso.so.1 (0x1)\n\tlibcudart.so.13 => not found\n\tlibm.so.6 => /lib/libm.so.6 (0x2)\n\tlibcublas.so.13 => not found\n";
  expect(missingLibraries(ldd)).toEqual(["libcudart.so.13", "libcublas.so.13"]);
});

it("what the machine lacks of CUDA is got from NVIDIA's Python packages, those of CUDA 12 under their own names", async () => {
  const asked: string[] = [];
  const run =
    (major: number): RunTool =>
    async (program, args) => {
      if (program === "ldd") return `libcudart.so.${major} => not found\nlibcublas.so.${major} => not found\n`;
      asked.push(args.at(-1) ?? "");
      return "";
    };
  const root = await mkdtemp(join(tmpdir(), "assistant-cuda-"));
  for (const major of [12, 13]) await addCudaRuntime(run(major), root, root);
  await rm(root, { recursive: true });
  expect(asked).toEqual([
    "nvidia-cuda-runtime-cu12>=12,<13",
    "nvidia-cublas-cu12>=12,<13",
    "nvidia-cuda-runtime>=13,<14",
    "nvidia-cublas>=13,<14",
  ]);
});

describe("a package for a GPU", () => {
  let root: string;
  let archive: string;
  let integrity: string;
  let calls: string[];

  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "assistant-gpu-"));
    const bins = join(root, "package/bins/linux-x64-cuda");
    await mkdir(bins, { recursive: true });
    await writeFile(join(bins, "libggml-cuda.so"), "kernels");
    archive = join(root, "archive.tgz");
    await toolRunner({})("tar", ["-czf", archive, "-C", root, "package"]);
    integrity = `sha512-${createHash("sha512")
      .update(await readFile(archive))
      .digest("base64")}`;
    calls = [];
  });
  afterEach(() => rm(root, { recursive: true, force: true }));

  /** The real tar, and an npm that has the package at hand. */
  const run: RunTool = async (program, args) => {
    if (program !== "npm") return toolRunner({})(program, args);
    calls.push(args.join(" "));
    await copyFile(archive, join(args[args.indexOf("--pack-destination") + 1] ?? "", "package.tgz"));
    return "package.tgz";
  };
  const fetched = (digest: string): Promise<string> =>
    fetchPackage(run, "linux-x64-cuda", join(root, "cache"), {
      version: "1.2.3",
      integrity: { "@node-llama-cpp/linux-x64-cuda": digest },
    });

  it("is fetched at its version, unpacked and kept", async () => {
    const folder = await fetched(integrity);
    expect(await readFile(join(folder, "linux-x64-cuda", "libggml-cuda.so"), "utf8")).toBe("kernels");
    expect(await fetched(integrity)).toBe(folder);
    expect(calls).toEqual([expect.stringMatching(/^pack .* @node-llama-cpp\/linux-x64-cuda@1\.2\.3$/u)]);
    expect(await readdir(join(root, "cache"))).toEqual(["linux-x64-cuda-1.2.3"]);
  });

  it("with another digest is refused, naming both, and nothing of it stays", async () => {
    const other = integrity.replace(/.{4}==$/u, "AAAA==");
    await expect(fetched(other)).rejects.toMatchObject({
      code: "engine_build_failed",
      message: expect.stringContaining(integrity),
      remedy: expect.stringContaining("--no-gpu"),
    });
    await expect(fetched(other)).rejects.toMatchObject({ message: expect.stringContaining(other) });
    expect(calls).toHaveLength(2);
  });
});
