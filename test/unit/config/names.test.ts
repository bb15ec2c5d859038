import { expect, it } from "vitest";
import { model, noticeLines, site } from "./support.ts";

const chat = (extra = ""): string => `[chat]\nsource = "smollm2"\n${extra}`;

it("a model file names its model, or the file's name does", async () => {
  await using at = await site({
    "models/plain.toml": chat(),
    "models/other.toml": chat('model_name = "tuna"\nmodel_alias = "fish"\naliases = ["big", "fish", "tuna"]\n'),
    "models/ref.toml": chat('model_name = "default"\n'),
  });
  const config = await at.load();
  expect(config.models.map(({ name, aliases }) => [name, aliases])).toEqual([
    ["tuna", ["fish", "big"]],
    ["plain", []],
    ["ref", []],
  ]);
  expect(config.notices).toEqual([]);
});

it("a file with both kinds yields two models with two names", async () => {
  await using at = await site({ "models/both.toml": `${chat()}[embedding]\nmodel_path = "../e.gguf"\n` });
  const config = await at.load();
  expect(config.models.map(({ name, kind }) => [name, kind])).toEqual([
    ["both", "chat"],
    ["both-embedding", "embedding"],
  ]);
  expect(model(config, "both-embedding").source).toEqual({ type: "file", path: at.file("e.gguf") });
});

it("an entry takes the settings and names of its model file, which then yields nothing of its own", async () => {
  await using at = await site({
    "config.toml":
      '[[llama_servers]]\nname = "main"\nchat_model_path = "w/chat.gguf"\nconfig_path = "models/settings.toml"\n',
    "models/settings.toml": chat('model_name = "nick"\nmodel_alias = "fast"\nslots = 2\n'),
  });
  const config = await at.load();
  expect(config.models).toHaveLength(1);
  expect(model(config, "main")).toMatchObject({
    aliases: ["nick", "fast"],
    source: { path: at.file("w/chat.gguf") },
    load: { slots: 2 },
    file: at.file("models/settings.toml"),
  });
  expect(noticeLines(config, at)).toEqual([
    expect.stringMatching(
      /^warning models\/settings\.toml:2: chat\.source: has no effect, because the \[\[llama_servers\]\] entry names /,
    ),
  ]);
});

it("an entry needs no model file, and takes weights that its file names", async () => {
  await using at = await site({
    "config.toml":
      '[[llama_servers]]\nname = "bare"\nembedding_model_path = "e.gguf"\n[[llama_servers]]\nname = "filed"\nconfig_path = "m.toml"\n',
    "m.toml": chat(),
  });
  const config = await at.load();
  expect(model(config, "bare")).toMatchObject({ kind: "embedding", load: { contextTokens: 512 } });
  expect(model(config, "filed")).toMatchObject({ kind: "chat", source: { type: "catalog", name: "smollm2" } });
});

it("an entry whose model file is missing or bad is left out, the others serve", async () => {
  await using at = await site({
    "config.toml": ["gone", "bad", "good"]
      .map(
        (name) =>
          `[[llama_servers]]\nname = "${name}"\nchat_model_path = "x.gguf"\n${name === "good" ? "" : `config_path = "${name}.toml"\n`}`,
      )
      .join(""),
    "bad.toml": "[chat]\nslots = 0\n",
  });
  const config = await at.load();
  expect(config.models.map(({ name }) => name)).toEqual(["good"]);
  expect(noticeLines(config, at)).toEqual([
    expect.stringMatching(
      /^error bad\.toml:2: chat\.slots: expected an integer from 1 to 256, found 0; the models of this file are left out$/,
    ),
    expect.stringMatching(
      /^error gone\.toml: there is no such file, but llama_servers\[0\]\.config_path at config\.toml:4 names it/,
    ),
  ]);
});

it("an entry with a GGUF file that would speak is refused without being called empty", async () => {
  await using at = await site({ "config.toml": '[[llama_servers]]\nname = "voice"\ntts_model_path = "t.gguf"\n' });
  const config = await at.load();
  expect(config.models).toEqual([]);
  expect(noticeLines(config, at)).toEqual([
    expect.stringMatching(/^error config\.toml:3: llama_servers\[0\]\.tts_model_path: .*t\.gguf is a GGUF file/),
  ]);
});

it("two models of one name: the first serves, the second is left out, both places are named", async () => {
  await using at = await site({
    "models/a.toml": chat('model_name = "same"\n'),
    "models/b.toml": chat('slots = 1\nmodel_name = "same"\n'),
  });
  const config = await at.load();
  expect(config.models.map(({ file }) => file)).toEqual([at.file("models/a.toml")]);
  expect(noticeLines(config, at)).toEqual([
    'error models/b.toml:4: chat.model_name: two models have the name "same", the other at models/a.toml:3; rename one. This one is left out',
  ]);
});

it("two entries of one name are a mistake of the main file", async () => {
  const entry = '[[llama_servers]]\nname = "same"\nchat_model_path = "x.gguf"\n';
  await using at = await site({ "config.toml": entry + entry });
  expect((await at.failure()).message).toBe(
    `${at.configFile}:5: llama_servers[1].name: two models have the name "same", the other at ${at.configFile}:2; rename one. This one is left out`,
  );
});

it("an alias never takes a model's name, nor another's alias", async () => {
  await using at = await site({
    "models/a.toml": chat('aliases = ["b", "x"]\n'),
    "models/b.toml": chat('model_alias = "x"\n'),
  });
  const config = await at.load();
  expect(model(config, "a").aliases).toEqual(["x"]);
  expect(model(config, "b").aliases).toEqual([]);
  expect(noticeLines(config, at)).toEqual([
    expect.stringMatching(
      /^warning models\/a\.toml:3: chat\.aliases\[0\]: the name "b" is taken by the model at models\/b\.toml:1/,
    ),
    expect.stringMatching(
      /^warning models\/b\.toml:3: chat\.model_alias: the name "x" is taken by the model at models\/a\.toml:3/,
    ),
  ]);
});

it("a file whose name cannot be a model's says to write one", async () => {
  await using at = await site({ "models/my model.toml": chat() });
  const config = await at.load();
  expect(config.models).toEqual([]);
  expect(noticeLines(config, at)).toEqual([
    expect.stringMatching(/"my model" cannot be a model's name: .*; write `model_name`$/),
  ]);
});

it("weights are named in one way only", async () => {
  await using at = await site({ "models/a.toml": chat('model_path = "x.gguf"\n') });
  expect(noticeLines(await at.load(), at)).toEqual([
    expect.stringMatching(/^error models\/a\.toml:3: chat\.model_path: `source` names the weights too/),
  ]);
});

it.each([
  ["smollm2", { type: "catalog", name: "smollm2" }],
  ["hf:org/repo/dir/file.gguf", { type: "huggingface", repo: "org/repo", file: "dir/file.gguf" }],
  ["hf:org/repo/file.gguf@v1.0", { type: "huggingface", repo: "org/repo", file: "file.gguf@v1.0" }],
  ["hf:org/repo/file.gguf@main", { type: "huggingface", repo: "org/repo", file: "file.gguf" }],
  ["/abs/x.gguf", { type: "file", path: "/abs/x.gguf" }],
])("source %s is read", async (source, expected) => {
  await using at = await site({ "models/a.toml": `[chat]\nsource = "${source}"\n` });
  expect(model(await at.load(), "a").source).toEqual(expected);
});

it("paths are relative to the file, and ~ is the home directory", async () => {
  await using at = await site({
    "models/a.toml": '[chat]\nsource = "w/x.gguf"\nllava_mmproj = "~/p.gguf"\n',
    "config.toml": '[engine]\nllama_server_path = "bin/llama-server"\n',
  });
  const config = await at.load();
  expect(model(config, "a")).toMatchObject({
    source: { path: at.file("models/w/x.gguf") },
    load: { projectorPath: at.file("p.gguf") },
  });
  expect(config.llamaServerPath).toBe(at.file("bin/llama-server"));
});

it.each([
  "hf:org/repo",
  "hf:../x/y.gguf",
  "hf:org/../y.gguf",
  "hf:org/repo/../../y.gguf",
  "hf:org/repo/x.bin",
  "hf:org/repo/x.gguf@a@b",
  "hf:org/x.gguf",
])("source %s is refused", async (source) => {
  await using at = await site({ "models/a.toml": `[chat]\nsource = "${source}"\n` });
  expect(noticeLines(await at.load(), at)).toEqual([
    expect.stringContaining("chat.source: expected hf:ORG/REPO/FILE.gguf"),
  ]);
});
