import type { LaunchPlan } from "../../core/engine.ts";
import type { LlamaSettings, RopeSettings, Speculation } from "../../core/llama.ts";

/** A setting of a model file as llama-server takes it. The first argument is a flag. */
export interface SettingArguments {
  /** As the user wrote it. */
  readonly key: string;
  readonly args: readonly [flag: string, ...values: string[]];
}

/** The settings of `load.llama` that differ from what llama-server does of itself. */
export function settingArguments({ model, device, draftPath }: LaunchPlan): SettingArguments[] {
  const { llama } = model.load;
  const onGpu = device.vendor !== "cpu";
  return [
    ...(llama.flashAttention === "auto" ? [] : [setting("flash_attention", "--flash-attn", llama.flashAttention)]),
    ...(llama.lora.length === 0 ? [] : [setting("lora", "--lora-scaled", loraText(llama))]),
    ...ropeArguments(llama.rope),
    ...(onGpu ? moeArguments(llama) : []),
    ...(llama.speculation === null ? [] : speculationArguments(llama.speculation, draftPath ?? null, onGpu)),
  ];
}

const setting = (key: string, flag: string, ...values: readonly (string | number)[]): SettingArguments => ({
  key,
  args: [flag, ...values.map(String)],
});

const given = (key: string, flag: string, value: string | number | null): SettingArguments[] =>
  value === null ? [] : [setting(key, flag, value)];

const loraText = ({ lora }: LlamaSettings): string => lora.map(({ path, scale }) => `${path}:${scale}`).join(",");

const ropeArguments = (rope: RopeSettings): SettingArguments[] => [
  ...given("rope_scaling", "--rope-scaling", rope.scaling),
  ...given("rope_scale", "--rope-scale", rope.scale),
  ...given("rope_freq_base", "--rope-freq-base", rope.freqBase),
  ...given("rope_freq_scale", "--rope-freq-scale", rope.freqScale),
  ...given("yarn_orig_ctx", "--yarn-orig-ctx", rope.yarnOriginalContextTokens),
  ...given("yarn_ext_factor", "--yarn-ext-factor", rope.yarnExtFactor),
  ...given("yarn_attn_factor", "--yarn-attn-factor", rope.yarnAttnFactor),
  ...given("yarn_beta_slow", "--yarn-beta-slow", rope.yarnBetaSlow),
  ...given("yarn_beta_fast", "--yarn-beta-fast", rope.yarnBetaFast),
];

function moeArguments({ cpuMoeLayers, tensorOverrides }: LlamaSettings): SettingArguments[] {
  const moe =
    cpuMoeLayers < 0
      ? [setting("n_cpu_moe", "--cpu-moe")]
      : given("n_cpu_moe", "--n-cpu-moe", cpuMoeLayers === 0 ? null : cpuMoeLayers);
  const overrides = tensorOverrides.length === 0 ? null : tensorOverrides.join(",");
  return [...moe, ...given("override_tensor", "--override-tensor", overrides)];
}

function speculationArguments(speculation: Speculation, draftPath: string | null, onGpu: boolean): SettingArguments[] {
  const { method, maxTokens, minTokens, minProbability, ngramTokens } = speculation;
  const type = setting("speculation", "--spec-type", method);
  switch (method) {
    case "ngram-simple":
    case "ngram-map-k":
    case "ngram-map-k4v":
      return [
        type,
        ...given("ngram_size", `--spec-${method}-size-n`, ngramTokens),
        ...given("draft_max", `--spec-${method}-size-m`, maxTokens),
      ];
    case "ngram-mod":
      return [
        type,
        ...given("ngram_size", "--spec-ngram-mod-n-match", ngramTokens),
        ...given("draft_max", "--spec-ngram-mod-n-max", maxTokens),
        ...given("draft_min", "--spec-ngram-mod-n-min", minTokens),
      ];
    case "ngram-cache":
      return [type];
    default:
      return [
        type,
        ...given("draft_model", "--spec-draft-model", draftPath),
        ...given("draft_max", "--spec-draft-n-max", maxTokens),
        ...given("draft_min", "--spec-draft-n-min", minTokens),
        ...given("draft_p_min", "--spec-draft-p-min", minProbability),
        ...(onGpu ? draftPlace(speculation) : []),
      ];
  }
}

const draftPlace = ({ draftOnCpu, draftGpuLayers }: Speculation): SettingArguments[] =>
  draftOnCpu
    ? [setting("draft_device", "--spec-draft-device", "none")]
    : [
        setting(
          "draft_n_gpu_layers",
          "--spec-draft-ngl",
          draftGpuLayers === null || draftGpuLayers < 0 ? "all" : draftGpuLayers,
        ),
      ];

/** The flags that a llama-server's `--help` lists; those that it only says were removed are none. */
export function flagsOf(help: string): ReadonlySet<string> {
  const flags = new Set<string>();
  const lines = help.split("\n");
  for (const [index, line] of lines.entries()) {
    if (!line.startsWith("-") || `${line}${lines[index + 1] ?? ""}`.includes("the argument has been removed")) continue;
    for (const [, flag] of line.matchAll(/(?:^|[\s,])(--?[A-Za-z][\w-]*)/gu)) if (flag !== undefined) flags.add(flag);
  }
  return flags;
}
