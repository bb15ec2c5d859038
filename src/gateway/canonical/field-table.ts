import type { Operation as ModelOperation } from "../../core/model.ts";
import { conversation } from "./conversation.ts";
import {
  adapters,
  granularities,
  input,
  logitBias,
  pingInterval,
  prompt,
  samplers,
  seed,
  spoken,
  stop,
  streamOptions,
  textOnly,
  tokenLimit,
  toolChoice,
  writtenShare,
} from "./field-rules.ts";
import { messages } from "./messages.ts";
import { boolean, type DescribedRule, either, integer, number, object, oneOf, text, texts } from "./rules.ts";
import { responseFormat } from "./structure.ts";
import { tools } from "./tools.ts";

/** An operation whose fields are listed here. */
export type Operation = Exclude<ModelOperation, "rerank" | "image" | "moderation" | "infer" | "tensors" | "tokenize">;

/** A field that OpenAI's API or an engine defines. docs/request-fields.md is generated from the table. */
export interface Field extends DescribedRule {
  readonly operations: readonly Operation[];
  readonly about: string;
  readonly required?: true;
  /** Values without effect that engines do not understand: the field is not sent to them. */
  readonly dropped?: readonly unknown[];
  /** No engine supports the field: any other value is refused. What to do instead. */
  readonly remedy?: string;
}

const CHAT: readonly Operation[] = ["chat"];
const COMPLETION: readonly Operation[] = ["completion"];
const EMBEDDING: readonly Operation[] = ["embedding"];
const GENERATING: readonly Operation[] = ["chat", "completion"];
const SPEECH: readonly Operation[] = ["speech"];
/** Their bodies are forms, whose fields are text. */
const HEARING: readonly Operation[] = ["transcription", "translation"];
const ALL: readonly Operation[] = ["chat", "completion", "embedding", "speech", "transcription", "translation"];

/** Priorities by tier; null: the default. */
export const serviceTiers: Readonly<Record<string, number | null>> = {
  auto: null,
  default: null,
  flex: 25,
  scale: 75,
  priority: 75,
};

/**
 * Tokens that penalties consider. Engines reserve memory for all of them: for 2^31, so much that they hang.
 */
const MAX_LOOK_BACK = 2 ** 20;
const NO_SUCH_ENGINE = "Omit it: no engine supports this.";
const INTERNAL = "Omit it: the engine derives it from the messages.";

const refused = (
  operations: readonly Operation[],
  about: string,
  remedy: string,
  dropped: readonly unknown[] = [null],
): Field => ({
  ...{ operations, about, remedy, dropped },
  passes: () => false,
  expected: "left out",
  schema: { enum: dropped },
});
const field = (
  operations: readonly Operation[],
  rule: DescribedRule,
  about: string,
  more: Pick<Field, "required" | "dropped"> = {},
): Field => ({
  ...rule,
  operations,
  about,
  ...more,
});

/** Every known field, by name. Others are passed on unchanged, within the limits on depth and size. */
export const fieldTable: Readonly<Record<string, readonly Field[]>> = {
  model: [field(ALL, text, "Name or alias of the model.")],
  capability: [
    field(
      ALL,
      object,
      'Capabilities that the model must offer, such as `{"type": "chat", "gpus": 2}`, instead of its name. Not forwarded.',
    ),
  ],
  messages: [field(CHAT, messages, "The conversation so far.", { required: true })],
  conversation: [
    field(CHAT, conversation, "The stored [conversation](conversations.md) that the messages continue.", {
      dropped: [null],
    }),
  ],
  prompt: [
    field(COMPLETION, prompt, "Text to continue: a string, token ids, or a list of either.", { required: true }),
    field(HEARING, text, "Text that precedes the recording, or names that occur in it."),
  ],
  input: [
    field(EMBEDDING, input, "Text to embed: a string, token ids, or a list of either.", {
      required: true,
    }),
    field(SPEECH, spoken, "Text to speak, at most the model's `max_input_characters`.", {
      required: true,
    }),
  ],
  voice: [field(SPEECH, text, "Voice, one of `GET /v1/audio/voices`. Default: the model's setting.")],
  speed: [field(SPEECH, number(0.25, 4), "Speed; 1: the voice's normal speed.", { dropped: [null] })],
  stream_format: [
    field(SPEECH, oneOf("audio", "sse"), "`audio`: audio data as it is generated; `sse`: events that contain it.", {
      dropped: [null],
    }),
  ],
  instructions: [
    field(SPEECH, text, "How to speak, described in words. The `speech` engine refuses it.", { dropped: [null, ""] }),
  ],
  language: [field(HEARING, text, "Language of the recording, such as `en`. Default: detected by the model.")],
  "timestamp_granularities[]": [
    field(HEARING, granularities, "Parts with timestamps in `verbose_json`, as in OpenAI's API."),
  ],
  user: [field(ALL, text, "No effect.")],
  encoding_format: [field(EMBEDDING, oneOf("float", "base64"), "Encoding of the vectors.", { dropped: [null] })],
  dimensions: [field(EMBEDDING, integer(1), "Length of the vectors. Values other than the model's own are refused.")],
  embd_normalize: [
    field(EMBEDDING, integer(-1, 100), "Norm for scaling the vectors; -1: none, 2: Euclidean (the default).", {
      dropped: [null],
    }),
  ],

  stream: [
    field(GENERATING, boolean, "Send the answer piece by piece."),
    field(HEARING, oneOf("true", "false"), "The same."),
  ],
  stream_options: [field(GENERATING, streamOptions, "`include_usage`: end the stream with token counts.")],
  max_tokens: [field(GENERATING, tokenLimit, "Maximum tokens of the answer; -1: until the context is full.")],
  max_completion_tokens: [field(GENERATING, tokenLimit, "The same, OpenAI's newer name.")],
  n_predict: [field(GENERATING, integer(-1), "The same, llama.cpp's name; takes precedence over the others.")],
  n: [field(GENERATING, integer(1, 128), "Number of answers, at most the model's slots.")],
  n_cmpl: [field(GENERATING, integer(1, 128), "The same, llama.cpp's name.")],
  stop: [field(GENERATING, stop, "Stop strings, which end the answer.")],
  seed: [field(GENERATING, seed, "Seed for reproducible answers; -1: random.")],
  temperature: [
    field(GENERATING, number(0, 2), "0: always the most likely token."),
    field(HEARING, writtenShare, "0: always the most likely words."),
  ],
  top_p: [field(GENERATING, number(0, 1), "Only the most likely tokens whose probabilities add up to this.")],
  top_k: [field(GENERATING, integer(-1), "Only this many of the most likely tokens; 0 or less: all.")],
  min_p: [
    field(GENERATING, number(0, 1), "Only tokens with at least this share of the most likely token's probability."),
  ],
  typical_p: [field(GENERATING, number(0, 1), "Locally typical sampling; 1: off.")],
  top_n_sigma: [
    field(
      GENERATING,
      number(-1, 100),
      "Only tokens within this many standard deviations of the most likely one; below 0: off.",
    ),
  ],
  presence_penalty: [field(GENERATING, number(-2, 2), "Penalty for tokens that have occurred.")],
  frequency_penalty: [field(GENERATING, number(-2, 2), "Penalty for tokens by how often they have occurred.")],
  repeat_penalty: [field(GENERATING, number(0.01, 100), "Penalty factor for tokens that have occurred; 1: off.")],
  repeat_last_n: [
    field(GENERATING, integer(-1, MAX_LOOK_BACK), "Number of previous tokens that the penalties consider; 0: off."),
  ],
  dry_multiplier: [field(GENERATING, number(0, 100), "DRY penalty for repeated sequences; 0: off.")],
  dry_base: [field(GENERATING, number(0, 100), "Growth of the DRY penalty with the length of the sequence.")],
  dry_allowed_length: [field(GENERATING, integer(0), "Longest sequence that may be repeated without penalty.")],
  dry_penalty_last_n: [field(GENERATING, integer(-1, MAX_LOOK_BACK), "Number of previous tokens that DRY considers.")],
  dry_sequence_breakers: [field(GENERATING, texts(256, 40), "Strings that end a sequence for DRY.")],
  xtc_probability: [field(GENERATING, number(0, 1), "Probability of removing the most likely tokens; 0: never.")],
  xtc_threshold: [field(GENERATING, number(0, 1), "Minimum probability of the tokens removed by XTC.")],
  dynatemp_range: [field(GENERATING, number(0, 100), "Range of the dynamic temperature; 0: off.")],
  dynatemp_exponent: [
    field(GENERATING, number(0, 100), "Exponent of the dynamic temperature's dependence on entropy."),
  ],
  mirostat: [field(GENERATING, integer(0, 2), "Mirostat sampling, version 1 or 2; 0: off.")],
  mirostat_tau: [field(GENERATING, number(0, 100), "Target entropy of mirostat.")],
  mirostat_eta: [field(GENERATING, number(0, 100), "Learning rate of mirostat.")],
  adaptive_target: [field(GENERATING, number(-1, 1), "Target probability of adaptive sampling; below 0: off.")],
  adaptive_decay: [
    field(GENERATING, number(0, 0.99), "Decay of adaptive sampling's average; higher values forget more slowly."),
  ],
  samplers: [field(GENERATING, samplers, "Samplers to apply, in this order.")],
  min_keep: [field(GENERATING, integer(0), "Minimum number of tokens that samplers keep.")],
  logit_bias: [field(GENERATING, logitBias, "Bias for single tokens; false: never generated.")],
  ignore_eos: [field(GENERATING, boolean, "Continue after the end-of-sequence token.")],
  n_probs: [field(GENERATING, integer(0, 100), "Number of alternatives reported per token, llama.cpp's name.")],
  post_sampling_probs: [field(GENERATING, boolean, "Report probabilities after sampling.")],
  grammar: [field(GENERATING, text, "GBNF grammar for the answer.", { dropped: [null] })],
  json_schema: [field(GENERATING, object, "JSON Schema for the answer; see above.")],
  lora: [field(GENERATING, adapters, "Scales of the model's LoRA adapters.")],

  cache_prompt: [field(GENERATING, boolean, "Reuse cached parts of the prompt.")],
  n_cache_reuse: [field(GENERATING, integer(0), "Minimum length of chunks reused from other positions in the cache.")],
  id_slot: [field(GENERATING, integer(-1), "The slot to use; -1: any.")],
  n_keep: [field(GENERATING, integer(-1), "No effect: prompts are never truncated.")],
  n_discard: [field(GENERATING, integer(0), "No effect: prompts are never truncated.")],
  n_indent: [field(GENERATING, integer(0), "Minimum indentation of lines, in spaces.")],
  t_max_predict_ms: [
    field(
      GENERATING,
      integer(-1),
      "Time in milliseconds after which the answer ends at the next line break; -1: none.",
    ),
  ],
  return_tokens: [field(GENERATING, boolean, "Include token ids in the answer.")],
  return_progress: [field(GENERATING, boolean, "Send progress events while the prompt is processed.")],
  timings_per_token: [field(GENERATING, boolean, "Send timings with every token.")],
  sse_ping_interval: [field(GENERATING, pingInterval, "Seconds between comments in an idle stream; -1: none.")],
  response_fields: [field(GENERATING, texts(64, 200), "Fields to include from the engine's own answer.")],
  backend_sampling: [field(GENERATING, boolean, "Sample on the GPU.")],
  verbose: [field(GENERATING, boolean, "Include the request as the engine interpreted it.")],

  tools: [
    field(
      CHAT,
      tools,
      "Functions that the model may call. Refused if the model's chat template does not support tools.",
    ),
    refused(COMPLETION, "Only chats support tools.", "Use /v1/chat/completions."),
  ],
  tool_choice: [
    field(CHAT, toolChoice, "Whether to call functions, and which."),
    refused(COMPLETION, "Only chats support tools.", "Use /v1/chat/completions."),
  ],
  parallel_tool_calls: [field(CHAT, boolean, "False: an answer has at most one call; further ones are removed.")],
  response_format: [
    field(CHAT, responseFormat, "`text`, `json_object`, or `json_schema` with a JSON Schema; see above."),
    refused(COMPLETION, "Only chats support it.", "Use `json_schema` or `grammar`, or /v1/chat/completions."),
    field(
      SPEECH,
      oneOf("wav", "pcm", "mp3", "opus", "flac", "aac"),
      "Audio format; default `wav`. Formats without an encoder on this machine are refused.",
      { dropped: [null] },
    ),
    field(HEARING, oneOf("json", "text", "srt", "verbose_json", "vtt"), "Format of the transcript; default `json`."),
  ],
  logprobs: [
    field(CHAT, boolean, "Report the probability of each token."),
    field(COMPLETION, integer(0, 100), "Report the probability of each token, and of this many alternatives."),
  ],
  top_logprobs: [
    // llama-server interprets 0 as no probabilities at all.
    field(CHAT, integer(0, 20), "Number of alternatives reported per token; 0: the engine's default.", {
      dropped: [0],
    }),
  ],
  chat_template_kwargs: [field(CHAT, object, "Variables of the chat template.")],
  add_generation_prompt: [field(CHAT, boolean, "End the prompt with the start of an answer.")],
  continue_final_message: [
    field(
      CHAT,
      either(boolean, oneOf("content", "reasoning_content")),
      "Continue the last message instead of starting a new one.",
    ),
  ],
  reasoning_effort: [field(CHAT, text, "A variable of the chat template; `none`: no reasoning.")],
  reasoning_format: [
    field(CHAT, oneOf("none", "auto", "deepseek", "deepseek-legacy"), "Where reasoning goes in the answer.", {
      dropped: [null],
    }),
  ],
  reasoning_budget_tokens: [field(CHAT, integer(-1), "Maximum tokens of reasoning; -1: no limit.")],
  thinking_budget_tokens: [field(CHAT, integer(-1), "The same.")],
  reasoning_budget_message: [field(CHAT, text, "Text inserted to end reasoning that exceeds the budget.")],
  reasoning_control: [field(CHAT, boolean, "Allow reasoning to be ended while it is running.")],

  echo: [
    refused(CHAT, "Repeats the prompt before the answer.", NO_SUCH_ENGINE, [null, false]),
    refused(COMPLETION, "Repeats the prompt before the answer.", "Send the prompt as text, without `logprobs`.", [
      null,
      false,
    ]),
  ],
  suffix: [
    refused(CHAT, "Text that follows the answer.", NO_SUCH_ENGINE, [null, ""]),
    field(COMPLETION, text, "Text after the gap to fill, for models with the capability `infill`.", {
      dropped: [null, ""],
    }),
  ],
  service_tier: [
    field(
      CHAT,
      oneOf(...Object.keys(serviceTiers)),
      "`flex`: priority 25; `priority`, `scale`: priority 75. A priority header takes precedence.",
    ),
  ],
  store: [
    field(
      CHAT,
      {
        passes: (value) => value === false,
        expected: "false, because only responses are stored",
        schema: { enum: [false] },
      },
      "Store the answer.",
    ),
  ],
  metadata: [field(CHAT, object, "No effect.")],
  safety_identifier: [field(CHAT, text, "No effect.")],
  prompt_cache_key: [field(CHAT, text, "No effect: cached prompts are found by their text.")],
  best_of: [
    refused(GENERATING, "Returns the best of several answers.", "Use `n`, and choose from the answers.", [null, 1]),
  ],
  audio: [refused(CHAT, "Spoken answers.", NO_SUCH_ENGINE)],
  modalities: [field(CHAT, textOnly, "Types of output.")],
  functions: [refused(GENERATING, "The older form of `tools`.", "Use `tools`.", [null])],
  function_call: [
    refused(GENERATING, "The older form of `tool_choice`.", "Use `tool_choice`.", [null, "auto", "none"]),
  ],
  web_search_options: [refused(CHAT, "Web search.", NO_SUCH_ENGINE)],
  ...Object.fromEntries(
    [
      "chat_format",
      "chat_parser",
      "generation_prompt",
      "grammar_lazy",
      "grammar_triggers",
      "grammar_type",
      "message_delimiters",
      "parse_tool_calls",
      "preserved_tokens",
    ].map((name) => [name, [refused(GENERATING, "Internal to the engine.", INTERNAL)]]),
  ),
};
