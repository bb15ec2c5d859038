import type { JsonObject } from "../../core/inference.ts";
import type { AskedModel, Dialect } from "./dialect.ts";
import { refused } from "./refuse.ts";

/** How each field of a chat request is translated, by dialect; null: it is refused. docs/providers.md has the table. */
export type FieldUse = Readonly<Record<Dialect["id"], string | null>>;

const both = (use: string): FieldUse => ({ anthropic: use, google: use });

export const fieldUses: Readonly<Record<string, FieldUse>> = {
  model: both("the provider's name of the model"),
  messages: { anthropic: "`system`, `messages`", google: "`systemInstruction`, `contents`" },
  stream: both("always streamed from the provider; reassembled if the client does not stream"),
  stream_options: both("`include_usage`"),
  max_tokens: { anthropic: "`max_tokens`, thinking included", google: "`maxOutputTokens`" },
  max_completion_tokens: both("the same"),
  n_predict: both("the same"),
  temperature: { anthropic: "`temperature`, 0 to 1", google: "`temperature`" },
  top_p: { anthropic: "`top_p`, not together with `temperature`", google: "`topP`" },
  top_k: { anthropic: "`top_k`", google: "`topK`" },
  seed: { anthropic: null, google: "`seed`" },
  presence_penalty: { anthropic: null, google: "`presencePenalty`, not for Gemini 2.5" },
  frequency_penalty: { anthropic: null, google: "`frequencyPenalty`, not for Gemini 2.5" },
  stop: { anthropic: "`stop_sequences`", google: "`stopSequences`" },
  tools: { anthropic: "`tools`", google: "`functionDeclarations`" },
  tool_choice: { anthropic: "`tool_choice`", google: "`functionCallingConfig`" },
  parallel_tool_calls: { anthropic: "`disable_parallel_tool_use`", google: "`true` only" },
  response_format: {
    anthropic: "`json_schema`: `output_config.format`, or a forced tool for older models",
    google: "`responseJsonSchema`; `json_object`: `responseMimeType`",
  },
  json_schema: both("as `response_format` with this schema"),
  reasoning_effort: { anthropic: "`thinking`, `output_config.effort`", google: "`thinkingConfig`" },
  reasoning_budget_tokens: { anthropic: "`thinking.budget_tokens`", google: "`thinkingConfig.thinkingBudget`" },
  thinking_budget_tokens: both("the same"),
  user: { anthropic: "`metadata.user_id`", google: "no effect" },
};

const is =
  (...values: readonly unknown[]) =>
  (value: unknown): boolean =>
    values.includes(value);
const isAnything = (): boolean => true;
const isEmpty = (value: unknown): boolean =>
  typeof value === "object" && value !== null && Object.keys(value).length === 0;
const isAtMost =
  (limit: number) =>
  (value: unknown): boolean =>
    typeof value === "number" && value <= limit;

/** Values without effect, which clients nevertheless send. */
const askForNothing: Readonly<Record<string, (value: unknown) => boolean>> = {
  n: is(1),
  n_cmpl: is(1),
  logprobs: is(false),
  top_logprobs: is(0),
  n_probs: is(0),
  logit_bias: isEmpty,
  seed: is(-1),
  top_k: isAtMost(0),
  presence_penalty: is(0),
  frequency_penalty: is(0),
  repeat_penalty: is(1),
  min_p: is(0),
  typical_p: is(1),
  top_n_sigma: isAtMost(-1),
  mirostat: is(0),
  xtc_probability: is(0),
  dynatemp_range: is(0),
  dry_multiplier: is(0),
  grammar: is(""),
  lora: isEmpty,
  ignore_eos: is(false),
  return_progress: is(false),
  return_tokens: is(false),
  timings_per_token: is(false),
  verbose: is(false),
  cache_prompt: is(true),
  modalities: (value) => Array.isArray(value) && value.every(is("text")),
  store: is(false),
  service_tier: is("auto", "default"),
  // Hints that do not change the answer.
  metadata: isAnything,
  prompt_cache_key: isAnything,
  safety_identifier: isAnything,
};

/** Whether the value means that nothing is requested. */
export const asksForNothing = (name: string, value: unknown): boolean =>
  value === null || value === undefined || askForNothing[name]?.(value) === true;

/** Throws `invalid_request` for the first field that the dialect does not support: nothing is dropped silently. */
export function refuseFields(json: JsonObject, dialect: Dialect["id"], asked: AskedModel): void {
  for (const [name, value] of Object.entries(json)) {
    if (asksForNothing(name, value)) continue;
    if (Object.hasOwn(fieldUses, name) && fieldUses[name]?.[dialect] !== null) continue;
    throw refused(
      name,
      `The field "${name.slice(0, 100)}" is not supported by "${asked.model}": the provider "${asked.provider.name}" has no such setting.`,
      "Remove it, or use a local model.",
    );
  }
}
