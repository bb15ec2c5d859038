import { rm, symlink, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import type { Config } from "../../../src/core/config.ts";
import { model, noticeLines, type Site, site } from "./support.ts";

const good = (slots: number, name?: string): string =>
  `[chat]\nsource = "smollm2"\nslots = ${slots}\n${name === undefined ? "" : `model_name = "${name}"\n`}`;
const write = (at: Site, name: string, text: string): Promise<void> => writeFile(at.file(`models/${name}.toml`), text);
const again = (at: Site, inForce: Config): Promise<Config> => at.load({ inForce });
const named = (config: Config): string[] => config.models.map(({ name, load }) => `${name} ${load.slots}`);

describe("a model file that was good and is broken now", () => {
  it.each([
    [
      "a key that does not exist",
      '[chat]\nsource = "smollm2"\nslotz = 3\n',
      /^error models\/a\.toml:3: chat\.slotz: .*; a keeps its last valid settings until this is fixed$/,
    ],
    ["no TOML", "[chat\n", /^error models\/a\.toml:1: not valid TOML: .*; a keeps its last valid settings/],
    [
      "a value that is refused late",
      `${good(2)}prompt_template = "chatlm"\n`,
      /prompt_template: .*; a keeps its last valid settings/,
    ],
    [
      "an address that cannot be had",
      `${good(2)}[server]\nsocket_addr = "nowhere"\n`,
      /server\.socket_addr: .*; a keeps its last valid settings/,
    ],
    [
      "another model's name",
      good(2, "b"),
      /^error models\/a\.toml:4: chat\.model_name: two models have the name "b", the other at models\/b\.toml:1; rename one; a keeps its/,
    ],
  ])("keeps its settings in force: %s", async (_, text, expected) => {
    await using at = await site({ "models/a.toml": good(1), "models/b.toml": good(1) });
    const before = await at.load();
    await write(at, "a", text);
    const after = await again(at, before);
    expect(named(after)).toEqual(["a 1", "b 1"]);
    expect(noticeLines(after, at).join("\n")).toMatch(expected);
    await write(at, "a", good(3));
    const mended = await again(at, after);
    expect(named(mended)).toEqual(["a 3", "b 1"]);
    expect(mended.notices).toEqual([]);
  });

  it("takes nothing of the file over in part, and everything of the others", async () => {
    const both = (slots: number, pooling: string) =>
      `${good(slots)}[embedding]\nsource = "mini"\npooling = "${pooling}"\n`;
    await using at = await site({ "models/a.toml": both(1, "mean"), "models/b.toml": good(1) });
    const before = await at.load();
    await write(at, "a", both(2, "average"));
    await write(at, "b", good(2));
    await write(at, "c", good(1));
    const after = await again(at, before);
    expect(named(after)).toEqual(["a 1", "a-embedding 4", "b 2", "c 1"]);
    expect(noticeLines(after, at)[0]).toMatch(/; a, a-embedding keep their last valid settings/);
  });

  it("keeps its name against a file that wants it, whether new or in force", async () => {
    await using at = await site({ "models/a.toml": good(1), "models/c.toml": good(1, "x") });
    const before = await at.load();
    await write(at, "a", good(2, "x"));
    await write(at, "b", good(2, "x"));
    await write(at, "c", "[chat\n");
    const after = await again(at, before);
    expect(named(after)).toEqual(["a 1", "x 1"]);
    const still = `the model "x" is still that of models/c.toml, until that file is corrected`;
    expect(noticeLines(after, at)).toEqual([
      `error models/a.toml: ${still}; a keeps its last valid settings until this is fixed`,
      expect.stringMatching(
        /^error models\/b\.toml:4: .*two models have the name "x", the other at models\/a\.toml:4; rename one\. This one is left out$/,
      ),
      expect.stringMatching(/^error models\/c\.toml:1: .*; x keeps its last valid/),
    ]);
  });

  it("is told apart from one that was deleted, and from a link that leads nowhere", async () => {
    await using at = await site({ "models/a.toml": good(1), "models/b.toml": good(1) });
    const before = await at.load();
    await rm(at.file("models/a.toml"));
    await rm(at.file("models/b.toml"));
    await symlink("nowhere.toml", at.file("models/b.toml"));
    const after = await again(at, before);
    expect(named(after)).toEqual(["b 1"]);
    expect(noticeLines(after, at)).toEqual([
      expect.stringMatching(/^error models\/b\.toml: is a link to nowhere\.toml, which does not exist; b keeps/),
    ]);
  });

  it("is left out where nothing earlier is known, as at the start", async () => {
    await using at = await site({ "models/a.toml": "[chat]\nslotz = 1\n", "models/b.toml": good(1) });
    const config = await at.load();
    expect(named(config)).toEqual(["b 1"]);
    expect(noticeLines(config, at)[0]).toMatch(/; the models of this file are left out$/);
  });
});

it("a directory that cannot be read any more keeps its models", async () => {
  await using at = await site({ "models/a.toml": good(1) });
  const before = await at.load();
  await rm(at.file("models"), { recursive: true });
  await writeFile(at.file("models"), "");
  const after = await again(at, before);
  expect(named(after)).toEqual(["a 1"]);
  expect(noticeLines(after, at)[0]).toMatch(
    /^error .*models: the directory .* \(ENOTDIR\), so none is read; a keeps its last valid settings/,
  );
});

it("the file of an entry that is gone keeps the entry's models", async () => {
  await using at = await site({
    "config.toml": '[[llama_servers]]\nname = "tuna"\nchat_model_path = "t.gguf"\nconfig_path = "tuna.toml"\n',
    "tuna.toml": "[chat]\nslots = 2\n",
  });
  const before = await at.load();
  await rm(at.file("tuna.toml"));
  const after = await again(at, before);
  expect(model(after, "tuna").load.slots).toBe(2);
  expect(noticeLines(after, at)[0]).toMatch(
    /^error tuna\.toml: there is no such file, but llama_servers\[0\]\.config_path at config\.toml:4 names it/,
  );
});

it("a main file that was there and is gone is a mistake: its keys guard the API", async () => {
  await using at = await site({ "config.toml": "" });
  const before = await at.load();
  await rm(at.configFile);
  const error = await at.failure({ inForce: before });
  expect(error.code).toBe("config_invalid");
  expect(error.message).toContain("was removed; restore it");
  expect((await at.load()).configFileFound).toBe(false);
});
