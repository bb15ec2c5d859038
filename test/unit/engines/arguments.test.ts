import { describe, expect, test } from "vitest";
import type { Device } from "../../../src/core/device.ts";
import { isAssistantError } from "../../../src/core/errors.ts";
import { llamaServerArguments } from "../../../src/engines/llama-server/arguments.ts";
import { workerConfig } from "../../../src/engines/node-llama-cpp/engine.ts";
import { cpu, modelSpec, planFor } from "../../conformance/engine-process.ts";

const gpu: Device = { ...cpu, id: "cuda:1", vendor: "nvidia", env: { CUDA_VISIBLE_DEVICES: "1" } };

type Overrides = Parameters<typeof modelSpec>[2];
const plan = (overrides: Overrides = {}, device = cpu) => ({
  ...planFor(modelSpec("llama-server", "/m.gguf", overrides), "/m.gguf", "/run/e.sock"),
  device,
});

/** The value after a flag. Fails where the flag is missing or given twice. */
function valueAfter(args: readonly string[], flag: string): string | undefined {
  expect(args.filter((argument) => argument === flag)).toHaveLength(1);
  return args[args.indexOf(flag) + 1];
}

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (isAssistantError(error)) return `${error.code} ${error.param}: ${error.message} ${error.remedy}`;
    throw error;
  }
  throw new Error("was not refused");
}

describe("arguments of llama-server", () => {
  test("the context of all slots together is asked for", () => {
    const args = llamaServerArguments(plan({ load: { contextTokens: 4096, slots: 3 } }));
    expect(valueAfter(args, "--ctx-size")).toBe("12288");
    expect(valueAfter(args, "--parallel")).toBe("3");
    expect(args).toContain("--no-context-shift");
  });

  test("a reranking model is loaded as one, and computes a query and a document at once", () => {
    const args = llamaServerArguments(plan({ kind: "rerank", load: { batchTokens: 512, microBatchTokens: 512 } }));
    expect(args).toContain("--reranking");
    expect(valueAfter(args, "--ubatch-size")).toBe("512");
    expect(args).not.toContain("--jinja");
    expect(workerConfig(plan({ kind: "rerank" }), ["cpu"]).kind).toBe("rerank");
    expect(refusal(() => workerConfig(plan({ kind: "transcription" }), ["cpu"]))).toMatch(
      /^config_invalid engine: .*does not transcribe.*engine build/,
    );
  });

  test("on the CPU no GPU is touched, whatever the model's file says", () => {
    const args = llamaServerArguments(plan({ load: { gpuLayers: 99 } }));
    expect(valueAfter(args, "--device")).toBe("none");
    expect(valueAfter(args, "--gpu-layers")).toBe("0");
  });

  test("on a GPU the layers go there, and -1 means all", () => {
    expect(valueAfter(llamaServerArguments(plan({ load: { gpuLayers: 20 } }, gpu)), "--gpu-layers")).toBe("20");
    const args = llamaServerArguments(plan({ load: { gpuLayers: -1, tensorSplit: [3, 1], mainGpu: 1 } }, gpu));
    expect(valueAfter(args, "--gpu-layers")).toBe("all");
    expect(valueAfter(args, "--tensor-split")).toBe("3,1");
    expect(valueAfter(args, "--main-gpu")).toBe("0");
    expect(args).not.toContain("--device");
  });

  test("sampling defaults are passed where they are set, and left to the engine where not", () => {
    const sampling = {
      temperature: 0.2,
      topP: 0.9,
      topK: 7,
      minP: 0.1,
      repeatPenalty: 1.1,
      presencePenalty: 0.3,
      frequencyPenalty: 0.4,
    };
    const args = llamaServerArguments(
      plan({ sampling: { ...sampling, maxTokens: 99, stop: ["</s>", "\n\n"], grammar: 'root ::= "a"' } }),
    );
    const flags = [
      "--temp",
      "--top-p",
      "--top-k",
      "--min-p",
      "--repeat-penalty",
      "--presence-penalty",
      "--frequency-penalty",
      "--predict",
      "--grammar",
    ];
    expect(flags.map((flag) => valueAfter(args, flag))).toEqual([
      "0.2",
      "0.9",
      "7",
      "0.1",
      "1.1",
      "0.3",
      "0.4",
      "99",
      'root ::= "a"',
    ]);
    expect(args.filter((_, index) => args[index - 1] === "--reverse-prompt")).toEqual(["</s>", "\n\n"]);
    expect(llamaServerArguments(plan())).not.toContain("--temp");
  });

  test("an embedding model is started as one", () => {
    const args = llamaServerArguments(
      plan({ kind: "embedding", load: { pooling: "mean", batchTokens: 512, microBatchTokens: 512 } }),
    );
    expect(args).toContain("--embeddings");
    expect(valueAfter(args, "--pooling")).toBe("mean");
    expect(args).not.toContain("--jinja");
  });

  test("loading and caches are as configured", () => {
    const load = {
      mmap: false,
      cacheTypeK: "q8_0",
      cacheTypeV: "q4_0",
      hostCacheMib: 512,
      microBatchTokens: 512,
      batchTokens: 64,
      chatTemplate: "llama3",
      projectorPath: "/p.gguf",
    };
    const args = llamaServerArguments(plan({ load }));
    const flags = [
      "--load-mode",
      "--cache-type-k",
      "--cache-type-v",
      "--cache-ram",
      "--batch-size",
      "--ubatch-size",
      "--chat-template",
      "--mmproj",
    ];
    expect(flags.map((flag) => valueAfter(args, flag))).toEqual([
      "none",
      "q8_0",
      "q4_0",
      "512",
      "64",
      "64",
      "llama3",
      "/p.gguf",
    ]);
  });

  test("further arguments come last, but not those that Assistant sets itself", () => {
    expect(llamaServerArguments(plan({ load: { extraArgs: ["--swa-full", "--keep", "4"] } })).slice(-3)).toEqual([
      "--swa-full",
      "--keep",
      "4",
    ]);
    for (const argument of ["--port", "-np", "--host=0.0.0.0", "-c"]) {
      expect(refusal(() => llamaServerArguments(plan({ load: { extraArgs: [argument] } })))).toContain(
        "config_invalid extra_args",
      );
    }
  });

  test.each<[string, Overrides, string]>([
    ["an unknown template", { load: { chatTemplate: "chatlm" } }, "chatml"],
    ["two grammars", { sampling: { grammar: "root ::= [a]", jsonSchema: "{}" } }, "Remove one"],
    ["pooling of a chat model", { load: { pooling: "mean" } }, "embedding models"],
  ])("%s is refused with what to do", (_name, overrides, hint) => {
    expect(refusal(() => llamaServerArguments(plan(overrides)))).toContain(hint);
  });

  test("a socket path that Unix cannot bind is refused before the start", () => {
    expect(refusal(() => llamaServerArguments({ ...plan(), socketPath: `/${"x".repeat(120)}.sock` }))).toContain(
      "100 bytes",
    );
  });
});

describe("the embedded engine's configuration", () => {
  test("carries every setting that reaches the model", () => {
    const load = {
      contextTokens: 512,
      slots: 3,
      batchTokens: 48,
      mmap: false,
      cacheTypeK: "q8_0",
      cacheTypeV: "q8_0",
      chatTemplate: "chatml",
    };
    const planned = { ...plan({ load, sampling: { temperature: 0.1, stop: ["x"] } }), threads: 2 };
    expect(workerConfig(planned, ["cpu"])).toMatchObject({
      ...load,
      ...{ socketPath: "/run/e.sock", modelPath: "/m.gguf", modelName: "smol", threads: 2, gpu: null },
      sampling: { temperature: 0.1, stop: ["x"] },
    });
  });

  test.each<[string, Overrides]>([
    ["further arguments", { load: { extraArgs: ["--swa-full"] } }],
    ["a projector", { load: { projectorPath: "/p.gguf" } }],
    ["a named template", { load: { chatTemplate: "llama3" } }],
  ])("%s: refused, naming the native engine", (_name, overrides) => {
    expect(refusal(() => workerConfig(plan(overrides), ["cpu"]))).toContain("assistant engine build");
  });

  test("a GPU needs a backend; the CPU never stands in for it", () => {
    expect(workerConfig(plan({}, gpu), ["cpu", "cuda"]).gpu).toBe("cuda");
    expect(refusal(() => workerConfig(plan({}, gpu), ["cpu"]))).toContain("engine_unavailable");
  });
});
