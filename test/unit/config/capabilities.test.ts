import { expect, test } from "vitest";
import { model, noticeLines, site } from "./support.ts";

const chat = '[chat]\nsource = "smollm2"\n';

test("a file's own capabilities join those of the section", async () => {
  await using at = await site({
    "models/m.toml": `${chat}[capabilities]\ngpus = 2\nlanguage = "de"\n"tier.gold" = true\n`,
  });
  const config = await at.load();
  expect(model(config, "m").capabilities).toEqual({
    type: "chat",
    chat: true,
    completion: true,
    gpus: 2,
    language: "de",
    "tier.gold": true,
  });
});

test("they hold for every model of the file, and change no fingerprint", async () => {
  const both = `${chat}[embedding]\nsource = "minilm"\n`;
  await using at = await site({ "models/m.toml": `${both}[capabilities]\ngpus = 2\n`, "models/n.toml": chat });
  const config = await at.load();
  expect(model(config, "m-embedding").capabilities).toEqual({ type: "embedding", embedding: true, gpus: 2 });
  expect(model(config, "m").fingerprint).toBe(model(config, "n").fingerprint);
});

test("what follows from the section is not taken from the table, and said", async () => {
  await using at = await site({ "models/m.toml": `${chat}[capabilities]\ntype = "poet"\nembedding = true\n` });
  const config = await at.load();
  expect(model(config, "m").capabilities).toEqual({ type: "chat", chat: true, completion: true });
  expect(noticeLines(config, at)).toEqual([
    expect.stringMatching(/capabilities\.type: has no effect/),
    expect.stringMatching(/capabilities\.embedding: has no effect/),
  ]);
});

test.each([
  ["a list", "gpus = [1, 2]", /capabilities\.gpus: expected a string, a number, true or false, found an array/],
  ["a key in capitals", "GPUs = 2", /"GPUs" cannot be a key of \[capabilities\]: expected up to 64 lower-case letters/],
])("%s is refused", async (_, line, message) => {
  await using at = await site({ "models/m.toml": `${chat}[capabilities]\n${line}\n` });
  const config = await at.load();
  expect(config.models).toEqual([]);
  expect(noticeLines(config, at)).toEqual([expect.stringMatching(message)]);
});
