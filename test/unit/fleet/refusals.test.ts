import { expect, test } from "vitest";
import { deathByExit } from "../../../src/fleet/death.ts";

const exit = { code: 1, signal: null, spawnError: null };
const failed = "srv    load_model: failed to load model, '/data/models/odd.gguf'";

test.each([
  [
    "llama_model_load: error loading model: unknown model architecture: 'llamx'",
    "odd.gguf has the architecture llamx, which this engine does not support. Build a newer engine with `assistant engine build`, or pull another model.",
  ],
  [
    "llama_model_load: error loading model: error loading model vocabulary: unknown pre-tokenizer type: 'smollx'",
    "odd.gguf has the tokenizer smollx, which this engine does not support. Build a newer engine with `assistant engine build`, or pull another model.",
  ],
  [
    "llama_model_load: error loading model: error loading model vocabulary: unknown tokenizer: 'gpx2'",
    "odd.gguf has the tokenizer gpx2, which this engine does not support. Build a newer engine with `assistant engine build`, or pull another model.",
  ],
  [
    "common_chat_templates_init: error: Unknown statement: bad",
    'The chat template of odd.gguf cannot be used (Unknown statement: bad). Set `prompt_template = "chatml"`, or another built-in one, in its model file.',
  ],
  [
    "llama_model_load: error loading model: error loading model vocabulary: cannot find tokenizer merges in model file",
    "odd.gguf is damaged or was not converted completely (cannot find tokenizer merges in model file). Pull the model again, or from another repository.",
  ],
  [
    "llama_model_load: error loading model: missing tensor 'blk.3.attn_q.weight'",
    "odd.gguf is damaged or was not converted completely (missing tensor 'blk.3.attn_q.weight'). Pull the model again, or from another repository.",
  ],
])("%s is explained", (line, message) => {
  expect(deathByExit(exit, "starting", `${line}\n${failed}\n`, 0).message).toBe(message);
});

test("the embedded engine's words are understood too", () => {
  const line = "cannot load /data/models/odd.gguf: chat template of the model: Unknown statement type: fox\n";
  expect(deathByExit(exit, "starting", line, 0).message).toMatch(
    /^The chat template of odd\.gguf cannot be used \(Unknown statement type: fox\)\. Set `prompt_template/,
  );
});

test("other ends keep the engine's own words, and so does one that has served already", () => {
  const line = "llama_model_load: error loading model: unknown model architecture: 'llamx'";
  expect(deathByExit(exit, "up", line, 0).message).toContain("while it was serving");
  expect(deathByExit(exit, "starting", "error: no memory", 0).message).toContain("Last output: error: no memory");
});

// As llama.cpp printed it on an H200 whose driver is of CUDA 13.0, with a library compiled by CUDA 13.1.
const aborted = [
  "0.00.612.327 E CUDA error: the provided PTX was compiled with an unsupported toolchain.",
  "0.00.612.338 E   current device: 0, in function ggml_cuda_kernel_can_use_pdl at common.cuh:1679",
  "0.00.612.339 E   cudaFuncGetAttributes(&attr, kernel)",
  "/opt/engines/libggml-base.so(ggml_abort+0x152)[0x7f841bb4df42]",
  "/lib/x86_64-linux-gnu/libc.so.6(+0x2a1ca)[0x7f841b82a1ca]",
].join("\n");
const killed = { code: null, signal: "SIGABRT", spawnError: null } as const;

test("a library for CUDA that does not fit the driver is named, with what to do", () => {
  expect(deathByExit(killed, "starting", aborted, 0).message).toBe(
    "The engine's CUDA library does not work with the GPU and its driver (the provided PTX was compiled with an unsupported toolchain). Update the NVIDIA driver, or run `assistant engine build`, which looks for one that does.",
  );
});

test("of an abort the error of the GPU is told, not the places in the program", () => {
  const log = aborted.replace("the provided PTX was compiled with an unsupported toolchain.", "out of memory");
  expect(deathByExit(killed, "up", log, 0).message).toBe(
    "The engine was killed by SIGABRT while it was serving. Last output: CUDA error: out of memory",
  );
});
