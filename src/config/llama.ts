import { type LlamaSettings, PLAIN_LLAMA, type Speculation } from "../core/llama.ts";
import type { SectionContext } from "./section.ts";
import { parseSource } from "./source.ts";

/** Settings of llama.cpp beyond the common ones, every one checked against the others. */
export function llamaSettings(context: SectionContext): LlamaSettings {
  const { keys, kind } = context;
  return {
    flashAttention: keys.flash_attention ?? PLAIN_LLAMA.flashAttention,
    lora: loraAdapters(context),
    speculation: kind === "chat" ? speculation(context) : null,
    rope: {
      scaling: keys.rope_scaling ?? null,
      scale: keys.rope_scale ?? null,
      freqBase: keys.rope_freq_base ?? null,
      freqScale: keys.rope_freq_scale ?? null,
      yarnOriginalContextTokens: keys.yarn_orig_ctx ?? null,
      yarnExtFactor: keys.yarn_ext_factor ?? null,
      yarnAttnFactor: keys.yarn_attn_factor ?? null,
      yarnBetaSlow: keys.yarn_beta_slow ?? null,
      yarnBetaFast: keys.yarn_beta_fast ?? null,
    },
    cpuMoeLayers: keys.n_cpu_moe ?? PLAIN_LLAMA.cpuMoeLayers,
    tensorOverrides: keys.override_tensor ?? PLAIN_LLAMA.tensorOverrides,
  };
}

function loraAdapters({ keys, toPath, refuse }: SectionContext): LlamaSettings["lora"] {
  return (keys.lora ?? []).map(({ path: written, scale = 1 }) => {
    const path = toPath(written);
    // llama-server takes all adapters as one text, in which these divide them.
    if (/[,:"]/u.test(path))
      refuse(
        "lora",
        `the path ${JSON.stringify(path)} contains a comma, colon or quote, which llama-server cannot parse; rename the file`,
      );
    return { path, scale };
  });
}

function speculation({ keys, toPath, refuse, warn }: SectionContext): Speculation | null {
  const { draft_model: written = "" } = keys;
  const method = keys.speculation ?? (written === "" ? "none" : "draft-simple");
  const idle = (
    because: string,
    ...names: ("draft_model" | "draft_max" | "draft_min" | "draft_p_min" | "ngram_size")[]
  ): void => {
    for (const name of names)
      if (keys[name] !== undefined && keys[name] !== "") warn(name, `has no effect ${because}; remove it`);
  };
  if (method === "none") {
    idle("without `speculation`", "draft_model", "draft_max", "draft_min", "draft_p_min", "ngram_size");
    return null;
  }
  const drafts = method.startsWith("draft-");
  if (drafts) idle(`with \`speculation = "${method}"\``, "ngram_size");
  else idle(`with \`speculation = "${method}"\``, "draft_model", "draft_p_min");
  if (method === "ngram-cache") idle('with `speculation = "ngram-cache"`', "draft_max", "draft_min", "ngram_size");
  else if (!drafts && method !== "ngram-mod") idle(`with \`speculation = "${method}"\``, "draft_min");
  // Layers that guess may be part of the weights themselves.
  if (drafts && method !== "draft-mtp" && written === "")
    refuse("speculation", `"${method}" needs a model that guesses; write \`draft_model\``);
  const draft = drafts && written !== "" ? parseSource(written, toPath) : null;
  if (typeof draft === "string") refuse("draft_model", draft);
  const { draft_max: maxTokens = null, draft_min: minTokens = null } = keys;
  if (maxTokens !== null && minTokens !== null && minTokens > maxTokens)
    refuse("draft_min", `${minTokens} is above \`draft_max = ${maxTokens}\`; write at most that`);
  return {
    method,
    draft: typeof draft === "string" ? null : draft,
    draftOnCpu: keys.draft_device === "cpu",
    draftGpuLayers: keys.draft_n_gpu_layers ?? null,
    maxTokens,
    minTokens,
    minProbability: keys.draft_p_min ?? null,
    ngramTokens: keys.ngram_size ?? null,
  };
}
