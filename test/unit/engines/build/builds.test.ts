import { lstat, mkdir, mkdtemp, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import {
  chooseBuild,
  currentVersion,
  listBuilds,
  migrateBuilds,
  placeBuild,
  removeBuilds,
} from "../../../../src/engines/llama-server/builds.ts";
import { buildsFolder, builtBinary } from "../../../../src/engines/llama-server/layout.ts";

let enginesDir: string;
beforeEach(async () => {
  enginesDir = await mkdtemp(join(tmpdir(), "assistant-builds-"));
});
afterEach(() => rm(enginesDir, { recursive: true, force: true }));

async function writeBuild(folder: string, text: string, builtAt = "2026-01-01T00:00:00Z"): Promise<void> {
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "llama-server"), text);
  const manifest = { schema: 1, sourceTag: "v1", patches: [], flags: [], builtAt, binaryBytes: text.length };
  await writeFile(join(folder, "manifest.json"), JSON.stringify(manifest));
}
const build = (version: string, builtAt?: string): Promise<void> =>
  writeBuild(join(buildsFolder(enginesDir), version), version, builtAt);

describe("builds side by side", () => {
  it("are listed newest first, with the one that is used, and without what is being made", async () => {
    await build("v1-a", "2026-01-01T00:00:00Z");
    await build("v1-b", "2026-01-02T00:00:00Z");
    await build(".new.1");
    await chooseBuild(enginesDir, "v1-a");
    expect((await listBuilds(enginesDir)).map(({ version, current }) => [version, current])).toEqual([
      ["v1-b", false],
      ["v1-a", true],
    ]);
  });

  it("are exchanged by one link, which never is not there", async () => {
    await build("v1-a");
    await build("v1-b");
    expect(await currentVersion(enginesDir)).toBe(null);
    await chooseBuild(enginesDir, "v1-a");
    await chooseBuild(enginesDir, "v1-b");
    expect(await currentVersion(enginesDir)).toBe("v1-b");
    expect(await readFile(builtBinary(enginesDir), "utf8")).toBe("v1-b");
  });

  it("are deleted, but not the one that is used, and none where one name is wrong", async () => {
    await build("v1-a");
    await build("v1-b");
    await chooseBuild(enginesDir, "v1-a");
    await expect(removeBuilds(enginesDir, ["v1-b", "v1-a"])).rejects.toMatchObject({ code: "engine_in_use" });
    await expect(removeBuilds(enginesDir, ["v1-b", "v1-c"])).rejects.toMatchObject({
      code: "engine_unavailable",
      remedy: expect.stringContaining("Did you mean"),
    });
    await expect(removeBuilds(enginesDir, ["../x"])).rejects.toMatchObject({ code: "engine_unavailable" });
    expect(await listBuilds(enginesDir)).toHaveLength(2);
    await removeBuilds(enginesDir, ["v1-b"]);
    expect((await listBuilds(enginesDir)).map(({ version }) => version)).toEqual(["v1-a"]);
  });

  it("make way for a new one of the same version", async () => {
    await build("v1-a");
    const staging = join(buildsFolder(enginesDir), ".new.1");
    await writeBuild(staging, "new");
    expect(await readFile(await placeBuild(enginesDir, staging, "v1-a"), "utf8")).toBe("new");
  });
});

describe("what was built before there were versions", () => {
  it("becomes a version that is used, and keeps the name it was reached by", async () => {
    const folder = buildsFolder(enginesDir);
    await writeBuild(folder, "old");
    await writeFile(join(folder, "libllama.so"), "library");
    await migrateBuilds(enginesDir);
    await migrateBuilds(enginesDir);
    const [found, ...others] = await listBuilds(enginesDir);
    expect(others).toEqual([]);
    expect(found).toMatchObject({ version: expect.stringMatching(/^v1-[0-9a-f]{8}$/u), current: true });
    expect(found?.manifest).not.toBe(null);
    expect(await readFile(join(dirname(found?.path ?? ""), "libllama.so"), "utf8")).toBe("library");
    expect((await lstat(builtBinary(enginesDir))).isSymbolicLink()).toBe(true);
  });

  it("without patches becomes another version, which is not used", async () => {
    await writeBuild(join(enginesDir, "llama-server-stock"), "stock");
    await migrateBuilds(enginesDir);
    const [stock] = await listBuilds(enginesDir);
    expect(stock).toMatchObject({ version: expect.stringMatching(/^v1-stock-/u), current: false });
    expect(await readlink(join(enginesDir, "llama-server-stock"))).toBe(`llama-server/${stock?.version}`);
    expect(await readFile(join(enginesDir, "llama-server-stock", "llama-server"), "utf8")).toBe("stock");
  });
});
