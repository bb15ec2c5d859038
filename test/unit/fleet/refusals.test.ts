import { expect, test } from "vitest";
import { deathByExit } from "../../../src/fleet/death.ts";

const exit = { code: 1, signal: null, spawnError: null };
const failed = "srv    load_model: failed to load model, '/data/models/odd.gguf'";

test.each([
  [
    "llama_model_load: error loading model: unknown model architecture: 'llamx'",
    "odd.gguf has the architecture llamx, which this engine does not know. Build a newer engine with `assistant engine build`, or pull another model.",
  ],
  [
    "llama_model_load: error loading model: error loading model vocabulary: unknown pre-tokenizer type: 'smollx'",
    "odd.gguf has the tokenizer smollx, which this engine does not know. Build a newer engine with `assistant engine build`, or pull another model.",
  ],
  [
    "llama_model_load: error loading model: error loading model vocabulary: unknown tokenizer: 'gpx2'",
    "odd.gguf has the tokenizer gpx2, which this engine does not know. Build a newer engine with `assistant engine build`, or pull another model.",
  ],
  [
    "common_chat_templates_init: error: Unknown statement: bad",
    'The chat template of odd.gguf cannot be used (Unknown statement: bad). Write `prompt_template = "chatml"`, or another built-in one, into its model file.',
  ],
])("%s is explained", (line, message) => {
  expect(deathByExit(exit, "starting", `${line}\n${failed}\n`, 0).message).toBe(message);
});

test("other ends keep the engine's own words, and so does one that has served already", () => {
  const line = "llama_model_load: error loading model: unknown model architecture: 'llamx'";
  expect(deathByExit(exit, "up", line, 0).message).toContain("while it was serving");
  expect(deathByExit(exit, "starting", "error: no memory", 0).message).toContain("Its last words: error: no memory");
});
