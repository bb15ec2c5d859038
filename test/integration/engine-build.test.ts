import { execFile } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { type BuildOptions, buildLlamaServer } from "../../src/engines/llama-server/build/build.ts";
import { pinnedBinaries } from "../../src/engines/llama-server/build/gpu.ts";
import { DEPARTED_CLIENTS_PATCH } from "../../src/engines/llama-server/build/manifest.ts";
import type { BuildProgress } from "../../src/engines/llama-server/build/progress.ts";
import { findSource, type Source } from "../../src/engines/llama-server/build/source.ts";
import { toolRunner } from "../../src/engines/llama-server/build/tool.ts";
import { currentVersion, listBuilds } from "../../src/engines/llama-server/builds.ts";
import { buildsFolder } from "../../src/engines/llama-server/layout.ts";

const run = promisify(execFile);

/** A source of one file, in a bundle as the real one is: unpacking that takes seconds. */
let small: Source;
let smallRoot: string;

beforeAll(async () => {
  smallRoot = await mkdtemp(join(tmpdir(), "assistant-source-"));
  const script =
    "git init -q . && mkdir -p tools/server && echo stock > tools/server/server-queue.cpp && touch CMakeLists.txt && git add . && git -c user.name=t -c user.email=t@t commit -qm 1 && git bundle create -q small.bundle HEAD";
  await run("sh", ["-c", script], { cwd: smallRoot });
  small = { bundle: join(smallRoot, "small.bundle"), tag: "v0", commit: "0123456789ab", patches: [], libraries: null };
});
afterAll(() => rm(smallRoot, { recursive: true, force: true }));

const binaries = await pinnedBinaries();

/** Real git; compilers that take no time. */
let root: string;
let bin: string;
let progress: BuildProgress[];

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "assistant-build-"));
  bin = join(root, "bin");
  await mkdir(bin);
  progress = [];
  const { stdout } = await run("sh", ["-c", "for tool in git sh cat cp mkdir touch sleep; do command -v $tool; done"]);
  for (const tool of stdout.trim().split("\n")) await symlink(tool, join(bin, tool.slice(tool.lastIndexOf("/") + 1)));
  await program("c++", 'echo "c++ (test) 1.0"');
  await program("ninja", "echo 1.11");
  await program("cmake", cmake());
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function program(name: string, script: string): Promise<void> {
  await rm(join(bin, name), { force: true });
  await writeFile(join(bin, name), `#!/bin/sh\n${script}\n`);
  await chmod(join(bin, name), 0o755);
}

/** Notes its calls and, in the build step, runs `compile` before it leaves a program where the real one would. */
const cmake = (compile = "true"): string => `
[ "$1" = --version ] && { echo "cmake version 3.25.1"; exit 0; }
echo "$*" >> "${root}/calls"
[ "$1" = --build ] || exit 0
echo "[1/2] Building a.o"
${compile} || exit 1
mkdir -p "$2/bin"
printf '#!/bin/sh\\necho "version: test"\\n' > "$2/bin/llama-server"
echo "[2/2] Linking"`;

const enginesDir = (): string => join(root, "engines");

const options = (more: Partial<BuildOptions> = {}): BuildOptions => ({
  enginesDir: enginesDir(),
  stock: false,
  fromSource: false,
  force: false,
  keep: false,
  gpus: [],
  jobs: 1,
  env: { PATH: bin, HOME: root },
  probe: async () => {},
  onProgress: (step) => progress.push(step),
  ...more,
});

const calls = async (): Promise<string[]> =>
  (await readFile(join(root, "calls"), "utf8").catch(() => "")).split("\n").filter(Boolean);

describe("assistant engine build", () => {
  it("unpacks, patches, configures, compiles and installs with a manifest, then has nothing to do", async () => {
    let patched = "";
    await program(
      "cmake",
      cmake(`cp "${root}"/engines/.build/*/source/tools/server/server-queue.cpp "${root}/seen.cpp"`),
    );
    const result = await buildLlamaServer(options());
    patched = await readFile(join(root, "seen.cpp"), "utf8");
    expect(patched).toContain("wait_until(lock, deadline)");
    expect(result).toMatchObject({
      built: true,
      manifest: { sourceTag: expect.stringMatching(/^v?\d/u), backends: ["cpu"], compiler: "c++ (test) 1.0" },
    });
    expect(result.manifest.patches.map(({ name }) => name)).toContain(DEPARTED_CLIENTS_PATCH);
    expect(progress.map(({ phase, fraction }) => `${phase} ${fraction}`)).toEqual([
      "unpack null",
      "configure null",
      "compile 0",
      "compile 0.5",
      "compile 1",
      "install null",
      "check null",
    ]);
    expect(await readdir(buildsFolder(enginesDir()))).toEqual(["llama-server", result.version]);
    expect((await readdir(dirname(result.path))).filter((name) => !name.endsWith(".so")).sort()).toEqual([
      "llama-server",
      "manifest.json",
    ]);
    expect(await currentVersion(enginesDir())).toBe(result.version);
    expect(await readdir(join(root, "engines", ".build"))).toEqual([]);

    expect(await buildLlamaServer(options())).toEqual({ ...result, built: false });
    expect((await calls()).length).toBe(2);
  });

  it("leaves the patches out with stock, beside the patched build", async () => {
    await program(
      "cmake",
      cmake(`cp "${root}"/engines/.build/*/source/tools/server/server-queue.cpp "${root}/seen.cpp"`),
    );
    // The facts of the real source, whose patches would fit no other.
    const source = { ...(await findSource(toolRunner({}), true)), bundle: small.bundle };
    const stock = await buildLlamaServer(options({ stock: true, source }));
    expect(stock.manifest.patches).toEqual([]);
    expect(stock.version).toContain("-stock-");
    // It is only used where somebody chooses it.
    expect(await currentVersion(enginesDir())).toBe(null);
    expect(await readFile(join(root, "seen.cpp"), "utf8")).toBe("stock\n");
  });

  it("links against libraries that came with the packages, and installs them beside the program", async () => {
    const libraries = join(root, "libraries");
    await mkdir(libraries);
    await writeFile(join(libraries, "libllama.v1.so"), "library");
    for (const name of ["addon.node", "libggml-cpu-zen4.so"]) await writeFile(join(libraries, name), "");
    const { manifest, path } = await buildLlamaServer(options({ source: { ...small, libraries } }));
    expect(manifest.libraries).toBe("prebuilt");
    expect(await readdir(dirname(path))).toEqual([
      "libggml-cpu-zen4.so",
      "libllama.v1.so",
      "llama-server",
      "manifest.json",
    ]);
    expect(await calls()).toEqual([
      expect.stringContaining(`-DPREBUILT_LIBRARIES=${libraries}`),
      expect.stringContaining("--build"),
    ]);
  });

  it("compiles nothing again where only the libraries for a GPU are new", async () => {
    const libraries = join(root, "libraries");
    await mkdir(libraries);
    await writeFile(join(libraries, "libllama.v1.so"), "library");
    const source = { ...small, libraries };
    const cpu = await buildLlamaServer(options({ source }));
    await program("npm", "echo 'no such package' >&2; exit 1");
    await rm(join(root, "calls"));
    const withGpu = buildLlamaServer(options({ source, gpus: ["amd"] }));
    await expect(withGpu).rejects.toMatchObject({
      code: "engine_build_failed",
      message: expect.stringContaining("npm could not get @node-llama-cpp/linux-x64-vulkan@"),
      remedy: expect.stringContaining("--no-gpu"),
    });
    expect(await calls()).toEqual([]);
    expect(await currentVersion(enginesDir())).toBe(cpu.version);
  });

  describe("for a GPU of NVIDIA's", () => {
    const cached = (name: string, folder: string): string =>
      join(enginesDir(), ".packages", `${name}-${binaries.version}`, "package", "bins", folder);
    let source: Source;

    beforeEach(async () => {
      const libraries = join(root, "libraries");
      await mkdir(libraries);
      await writeFile(join(libraries, "libllama.v1.so"), "library");
      source = { ...small, libraries };
      await program("ldd", "true");
      await program("cmake", cmake().replace('version: test"', 'version: test"; echo "  CUDA0: NVIDIA H200"'));
      for (const [name, folder] of [
        ["linux-x64-cuda", "linux-x64-cuda"],
        ["linux-x64-cuda-ext", "linux-x64-cuda/fallback"],
      ] as const) {
        await mkdir(cached(name, folder), { recursive: true });
        await writeFile(join(cached(name, folder), "libggml-cuda.so"), name);
      }
    });
    const libraryOf = (path: string): Promise<string> => readFile(join(dirname(path), "libggml-cuda.so"), "utf8");

    it("takes the library for CUDA 12 where its driver cannot run the one for CUDA 13", async () => {
      const tried: string[] = [];
      const probe = async (path: string): Promise<void> => {
        tried.push(await libraryOf(path));
        if (tried.length === 1) throw new Error("unsupported toolchain");
      };
      const { path, manifest } = await buildLlamaServer(options({ source, gpus: ["nvidia"], probe }));
      expect(tried).toEqual(["linux-x64-cuda", "linux-x64-cuda-ext"]);
      expect(await libraryOf(path)).toBe("linux-x64-cuda-ext");
      expect(manifest.backends).toEqual(["cpu", "cuda"]);
    });

    it("fails with what each of the libraries did where none works", async () => {
      const probe = async (path: string): Promise<void> => {
        throw new Error(`${await libraryOf(path)} does not run`);
      };
      await expect(buildLlamaServer(options({ source, gpus: ["nvidia"], probe }))).rejects.toMatchObject({
        code: "engine_build_failed",
        message: expect.stringMatching(/CUDA 13: .*cuda does not run.*CUDA 12: .*cuda-ext does not run/u),
        remedy: expect.stringContaining("driver"),
      });
      expect(await currentVersion(enginesDir())).toBe(null);
    });
  });

  it("compiles everything where the libraries do not fit this machine", async () => {
    const libraries = join(root, "libraries");
    await mkdir(libraries);
    await program(
      "cmake",
      cmake('case $2 in *linked) echo "undefined reference to memcpy@GLIBC_2.35" && false;; esac'),
    );
    const { manifest, built } = await buildLlamaServer(options({ source: { ...small, libraries } }));
    expect({ built, libraries: manifest.libraries }).toEqual({ built: true, libraries: "compiled" });
    expect((await calls()).filter((call) => call.includes("PREBUILT_LIBRARIES")).length).toBe(1);
  });

  it("tells the compiler's error and the log, keeps what is installed, and goes on from there", async () => {
    await buildLlamaServer(options({ source: small }));
    await program("cmake", cmake('echo "a.cpp:1:1: error: broken" && touch "$2.touched" && false'));
    await expect(buildLlamaServer(options({ source: small, force: true }))).rejects.toMatchObject({
      code: "engine_build_failed",
      message: expect.stringContaining("a.cpp:1:1: error: broken"),
      remedy: expect.stringContaining("build.log"),
    });
    expect((await listBuilds(enginesDir())).map(({ current }) => current)).toEqual([true]);
    const [work] = await readdir(join(root, "engines", ".build"));
    expect(work).toBeDefined();
    // The unpacked source is used again, and not unpacked a second time over it.
    await writeFile(join(root, "engines", ".build", work ?? "", "source", "kept"), "");
    await program("cmake", cmake(`[ -f "${root}/engines/.build/${work}/source/kept" ]`));
    expect((await buildLlamaServer(options({ source: small, force: true }))).built).toBe(true);
  });

  it("compiles all of it on request, although the libraries are there", async () => {
    const libraries = join(root, "libraries");
    await mkdir(libraries);
    const { manifest } = await buildLlamaServer(options({ fromSource: true, source: { ...small, libraries } }));
    expect(manifest.libraries).toBe("compiled");
    expect((await calls()).some((call) => call.includes("PREBUILT_LIBRARIES"))).toBe(false);
  });

  it("keeps several versions, the one used before when a new one fails its check, and the newest when it passes", async () => {
    const first = await buildLlamaServer(options({ source: small }));
    await program("c++", 'echo "c++ (test) 2.0"');
    const probe = vi.fn(async (_program: string): Promise<void> => {
      throw new Error("no token within 10 s");
    });
    await expect(buildLlamaServer(options({ source: small, probe }))).rejects.toMatchObject({
      code: "engine_build_failed",
      message: expect.stringContaining("failed its check: no token within 10 s"),
      remedy: expect.stringContaining("stays in use"),
    });
    expect(await readdir(buildsFolder(enginesDir()))).toEqual(["llama-server", first.version]);
    expect(await currentVersion(enginesDir())).toBe(first.version);

    probe.mockImplementation(async (path) => expect((await run(path, ["--version"])).stdout).toContain("version"));
    const second = await buildLlamaServer(options({ source: small, probe }));
    expect(second.version).not.toBe(first.version);
    expect(await currentVersion(enginesDir())).toBe(second.version);
    expect((await listBuilds(enginesDir())).map(({ version }) => version).sort()).toEqual(
      [first.version, second.version].sort(),
    );
  });

  it("names what is missing, unless the same build is there already", async () => {
    await rm(join(bin, "c++"));
    await expect(buildLlamaServer(options({ source: small }))).rejects.toMatchObject({
      code: "engine_build_failed",
      message: expect.stringContaining("lacks a C++ compiler"),
      remedy: expect.any(String),
    });
    await program("c++", "echo c++");
    await buildLlamaServer(options({ source: small }));
    await rm(join(bin, "c++"));
    expect((await buildLlamaServer(options({ source: small }))).built).toBe(false);
  });

  it("refuses a second build at the same time, and ends its compilers when interrupted", async () => {
    await program("cmake", cmake(`touch "${root}/compiling" && sleep 60`));
    const abort = new AbortController();
    let interrupted: Promise<unknown> = Promise.resolve();
    await new Promise<void>((resolve) => {
      const first = buildLlamaServer(
        options({ source: small, signal: abort.signal, onProgress: ({ fraction }) => fraction === 0.5 && resolve() }),
      );
      first.catch(() => {});
      interrupted = first;
    });
    await expect(buildLlamaServer(options({ source: small }))).rejects.toMatchObject({
      message: expect.stringContaining("Another build is under way"),
    });
    abort.abort(new Error("stop"));
    await expect(interrupted).rejects.toThrow("stop");
    await program("cmake", cmake());
    expect((await buildLlamaServer(options({ source: small }))).built).toBe(true);
  });
});
