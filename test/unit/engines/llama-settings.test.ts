import { expect, test } from "vitest";
import type { Device } from "../../../src/core/device.ts";
import { type LlamaSettings, PLAIN_LLAMA, type Speculation } from "../../../src/core/llama.ts";
import { flagsOf, settingArguments } from "../../../src/engines/llama-server/settings.ts";
import { workerConfig } from "../../../src/engines/node-llama-cpp/engine.ts";
import { cpu, modelSpec, planFor } from "../../conformance/engine-process.ts";

const gpu: Device = { ...cpu, id: "cuda:0", vendor: "nvidia" };

function planWith(llama: Partial<LlamaSettings>, device = cpu, draftPath?: string) {
  const model = modelSpec("llama-server", "/m.gguf", { load: { llama: { ...PLAIN_LLAMA, ...llama } } });
  const plan = { ...planFor(model, "/m.gguf", "/run/e.sock"), device };
  return draftPath === undefined ? plan : { ...plan, draftPath };
}

const argumentsFor = (...given: Parameters<typeof planWith>): string =>
  settingArguments(planWith(...given))
    .flatMap(({ args }) => args)
    .join(" ");

const speculation: Speculation = {
  method: "draft-simple",
  draft: { type: "catalog", name: "small" },
  draftOnCpu: false,
  draftGpuLayers: null,
  maxTokens: 8,
  minTokens: 2,
  minProbability: 0.5,
  ngramTokens: 4,
};

test("nothing is said of what is as the engine does it", () => {
  expect(argumentsFor({})).toBe("");
});

test("flash attention, adapters and positions", () => {
  expect(argumentsFor({ flashAttention: "off" })).toBe("--flash-attn off");
  expect(
    argumentsFor({
      lora: [
        { path: "/a.gguf", scale: 1 },
        { path: "/b.gguf", scale: 0.5 },
      ],
    }),
  ).toBe("--lora-scaled /a.gguf:1,/b.gguf:0.5");
  expect(argumentsFor({ rope: { ...PLAIN_LLAMA.rope, scaling: "yarn", scale: 4, yarnBetaFast: 32 } })).toBe(
    "--rope-scaling yarn --rope-scale 4 --yarn-beta-fast 32",
  );
});

test("experts are placed where there is a GPU", () => {
  expect(argumentsFor({ cpuMoeLayers: 3, tensorOverrides: ["a=CPU", "b=CPU"] })).toBe("");
  expect(argumentsFor({ cpuMoeLayers: 3, tensorOverrides: ["a=CPU", "b=CPU"] }, gpu)).toBe(
    "--n-cpu-moe 3 --override-tensor a=CPU,b=CPU",
  );
  expect(argumentsFor({ cpuMoeLayers: -1 }, gpu)).toBe("--cpu-moe");
});

test("a draft model runs beside its model, or on the CPU", () => {
  const common =
    "--spec-type draft-simple --spec-draft-model /d.gguf --spec-draft-n-max 8 --spec-draft-n-min 2 --spec-draft-p-min 0.5";
  expect(argumentsFor({ speculation }, cpu, "/d.gguf")).toBe(common);
  expect(argumentsFor({ speculation }, gpu, "/d.gguf")).toBe(`${common} --spec-draft-ngl all`);
  expect(argumentsFor({ speculation: { ...speculation, draftGpuLayers: 5 } }, gpu, "/d.gguf")).toBe(
    `${common} --spec-draft-ngl 5`,
  );
  expect(argumentsFor({ speculation: { ...speculation, draftOnCpu: true } }, gpu, "/d.gguf")).toBe(
    `${common} --spec-draft-device none`,
  );
});

test.each([
  ["ngram-simple", "--spec-type ngram-simple --spec-ngram-simple-size-n 4 --spec-ngram-simple-size-m 8"],
  ["ngram-map-k4v", "--spec-type ngram-map-k4v --spec-ngram-map-k4v-size-n 4 --spec-ngram-map-k4v-size-m 8"],
  ["ngram-mod", "--spec-type ngram-mod --spec-ngram-mod-n-match 4 --spec-ngram-mod-n-max 8 --spec-ngram-mod-n-min 2"],
  ["ngram-cache", "--spec-type ngram-cache"],
] as const)("%s has flags of its own", (method, expected) => {
  expect(argumentsFor({ speculation: { ...speculation, method } })).toBe(expected);
});

test("the flags of a program are read from its help, without those that are gone", () => {
  const help = [
    "-fa,   --flash-attn [on|off|auto]       set Flash Attention use ('on', 'off')",
    "                                        see also --nothing",
    "--draft, --draft-n, --draft-max N       the argument has been removed. use --spec-draft-n-max",
    "--spec-type none,draft-simple           types",
  ].join("\n");
  expect([...flagsOf(help)]).toEqual(["-fa", "--flash-attn", "--spec-type"]);
});

test("the embedded engine takes adapters and flash attention, and refuses what only llama-server can do", () => {
  const lora = [{ path: "/a.gguf", scale: 1 }];
  expect(workerConfig(planWith({ lora, flashAttention: "on" }), ["cpu"])).toMatchObject({ lora, flashAttention: "on" });
  for (const [key, llama] of Object.entries({
    speculation: { speculation },
    n_cpu_moe: { cpuMoeLayers: 1 },
    override_tensor: { tensorOverrides: ["a=CPU"] },
    rope_scaling: { rope: { ...PLAIN_LLAMA.rope, scale: 2 } },
  }))
    expect(() => workerConfig(planWith(llama), ["cpu"])).toThrow(expect.objectContaining({ param: key }));
});
