import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { configurePulled } from "../../../src/models/configure.ts";
import { emptyGguf } from "../../support/gguf-writer.ts";
import { modelStoreIn } from "../../support/store.ts";
import { cpuOnly } from "../config/support.ts";

it.each(["name", "alias"])("a pulled model does not take the name of another, which it has as its %s", async (as) => {
  const root = await mkdtemp(join(tmpdir(), "assistant-configure-"));
  try {
    await mkdir(join(root, "store"));
    await mkdir(join(root, "models"));
    const file = join(root, "store/mini.gguf");
    await writeFile(file, emptyGguf);
    const named = as === "name" ? 'model_name = "mini"' : 'model_alias = "mini"';
    const holder = join(root, "models/other.toml");
    await writeFile(holder, `[chat]\n${named}\nsource = "${join(root, "elsewhere.gguf")}"\n`);
    const facts = { name: "mini", reference: "https://models.example/mini.gguf", source: "test", file };
    const configured = await configurePulled(
      { ...facts, bytes: emptyGguf.length, sha256: "0", licence: null, projector: null, alreadyPresent: false },
      {
        store: modelStoreIn(join(root, "store")),
        env: {},
        configFile: join(root, "config.toml"),
        hardware: () => cpuOnly(),
        hasNativeEngine: async () => true,
      },
    );
    expect(configured).toMatchObject({ model: null, written: false, file: holder });
    expect(configured.problem).toContain(holder);
    expect(existsSync(join(root, "models/mini.toml"))).toBe(false);
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});
