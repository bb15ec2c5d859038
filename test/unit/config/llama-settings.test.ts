import { describe, expect, it } from "vitest";
import type { ModelSpec } from "../../../src/core/model.ts";
import { model, noticeLines, site } from "./support.ts";

async function read(section: string): Promise<{ spec: ModelSpec | null; notices: string[]; root: string }> {
  await using at = await site({ "models/m.toml": `[chat]\nsource = "smollm2"\n${section}\n` });
  const config = await at.load();
  return {
    spec: config.models.length === 0 ? null : model(config, "m"),
    notices: noticeLines(config, at),
    root: at.root,
  };
}

describe("LoRA adapters", () => {
  it("have paths beside the file, and a scale of 1 unless one is given", async () => {
    const { spec, root } = await read('[[chat.lora]]\npath = "a.gguf"\n[[chat.lora]]\npath = "/b.gguf"\nscale = 0.5');
    expect(spec?.load.llama.lora).toEqual([
      { path: `${root}/models/a.gguf`, scale: 1 },
      { path: "/b.gguf", scale: 0.5 },
    ]);
  });

  it("need a path that llama-server can read", async () => {
    expect((await read('[[chat.lora]]\npath = "/a,b.gguf"')).notices).toEqual([
      expect.stringMatching(/chat\.lora: the path .* contains a comma/),
    ]);
    expect((await read("[[chat.lora]]\nscale = 1")).notices).toEqual([expect.stringMatching(/`path` is missing/)]);
  });
});

describe("speculation", () => {
  it("is what a draft model is for, unless another method is named", async () => {
    const { spec } = await read('draft_model = "hf:o/r/f.gguf"\ndraft_max = 8\ndraft_min = 2\ndraft_p_min = 0.5');
    expect(spec?.load.llama.speculation).toMatchObject({
      method: "draft-simple",
      draft: { type: "huggingface", repo: "o/r", file: "f.gguf" },
      maxTokens: 8,
      minTokens: 2,
      minProbability: 0.5,
    });
    expect((await read("")).spec?.load.llama.speculation).toBeNull();
  });

  it("can look into the text instead", async () => {
    const { spec, notices } = await read('speculation = "ngram-simple"\nngram_size = 4\ndraft_max = 16');
    expect(spec?.load.llama.speculation).toMatchObject({ method: "ngram-simple", draft: null, ngramTokens: 4 });
    expect(notices).toEqual([]);
  });

  it.each([
    ['speculation = "draft-simple"', /"draft-simple" needs a model that guesses/],
    ['draft_model = "x"\ndraft_max = 2\ndraft_min = 3', /draft_min: 3 is above `draft_max = 2`/],
    ['draft_model = "https://x"', /chat\.draft_model: expected a catalog name/],
    ['speculation = "ngram"', /chat\.speculation: expected one of/],
  ])("%s is refused", async (section, message) => {
    const { spec, notices } = await read(section);
    expect(spec).toBeNull();
    expect(notices).toEqual([expect.stringMatching(message)]);
  });

  it.each([
    ["draft_max = 8", /draft_max: has no effect without `speculation`/],
    ['speculation = "ngram-mod"\ndraft_model = "x"', /draft_model: has no effect with `speculation = "ngram-mod"`/],
    ['draft_model = "x"\nngram_size = 4', /ngram_size: has no effect with `speculation = "draft-simple"`/],
  ])("%s: a key without effect is named", async (section, message) => {
    const { spec, notices } = await read(section);
    expect(spec).not.toBeNull();
    expect(notices).toEqual([expect.stringMatching(message)]);
  });
});

it("positions, experts and attention reach the engine, and a change restarts it", async () => {
  const { spec } = await read(
    'flash_attention = "on"\nrope_scaling = "yarn"\nyarn_orig_ctx = 4096\nn_cpu_moe = -1\noverride_tensor = ["exps=CPU"]',
  );
  expect(spec?.load.llama).toMatchObject({
    flashAttention: "on",
    rope: { scaling: "yarn", yarnOriginalContextTokens: 4096, scale: null },
    cpuMoeLayers: -1,
    tensorOverrides: ["exps=CPU"],
  });
  expect(spec?.fingerprint).not.toBe((await read("")).spec?.fingerprint);
  expect((await read('override_tensor = ["exps"]')).notices).toEqual([expect.stringMatching(/override_tensor/)]);
});
