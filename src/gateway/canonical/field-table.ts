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
  /** Values that ask for nothing and that engines do not understand: the field is left out of what they get. */
  readonly dropped?: readonly unknown[];
  /** It asks for what no engine does: any other value is refused. What to do instead. */
  readonly remedy?: string;
}

const CHAT: readonly Operation[] = ["chat"];
const COMPLETION: readonly Operation[] = ["completion"];
const EMBEDDING: readonly Operation[] = ["embedding"];
const GENERATING: readonly Operation[] = ["chat", "completion"];
const SPEECH: readonly Operation[] = ["speech"];
/** A body of their kind is a form, whose fields are text. */
const HEARING: readonly Operation[] = ["transcription", "translation"];
const ALL: readonly Operation[] = ["chat", "completion", "embedding", "speech", "transcription", "translation"];

/** Priorities by tier; null: the usual one. */
export const serviceTiers: Readonly<Record<string, number | null>> = {
  auto: null,
  default: null,
  flex: 25,
  scale: 75,
  priority: 75,
};

/**
 * Tokens that penalties look back on. Engines reserve memory for all of them: for 2^31 so much that they stand still.
 */
const MAX_LOOK_BACK = 2 ** 20;
const NO_SUCH_ENGINE = "Leave it out: no engine does this.";
const INTERNAL = "Leave it out: it is the engine's own, made from the messages.";

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

/** Every field that is known, by name. Others pass as they are, within the limits on depth and size. */
export const fieldTable: Readonly<Record<string, readonly Field[]>> = {
  model: [field(ALL, text, "Name or alias of the model.")],
  capability: [
    field(
      ALL,
      object,
      'What the model has to offer, such as `{"type": "chat", "gpus": 2}`; it then need not be named. Not sent on.',
    ),
  ],
  messages: [field(CHAT, messages, "The conversation so far.", { required: true })],
  conversation: [
    field(CHAT, conversation, "The stored [conversation](conversations.md) that the messages continue.", {
      dropped: [null],
    }),
  ],
  prompt: [
    field(COMPLETION, prompt, "What is continued: a text, token numbers, or a list of either.", { required: true }),
    field(HEARING, text, "Text that comes before the recording, or names that occur in it."),
  ],
  input: [
    field(EMBEDDING, input, "What vectors are made of: a text, token numbers, or a list of either.", {
      required: true,
    }),
    field(SPEECH, spoken, "What is spoken. Its length is limited by the model's `max_input_characters`.", {
      required: true,
    }),
  ],
  voice: [field(SPEECH, text, "Who speaks; `GET /v1/audio/voices` lists them. Default: the model's own setting.")],
  speed: [field(SPEECH, number(0.25, 4), "How fast; 1: as the voice does by itself.", { dropped: [null] })],
  stream_format: [
    field(SPEECH, oneOf("audio", "sse"), "`audio`: the sound itself, as it is made; `sse`: events that hold it.", {
      dropped: [null],
    }),
  ],
  instructions: [field(SPEECH, text, "How to speak, in words. Our own engine refuses it.", { dropped: [null, ""] })],
  language: [field(HEARING, text, "Language of the recording, such as `en`; without it the model finds out.")],
  "timestamp_granularities[]": [field(HEARING, granularities, "What has times in `verbose_json`, as in OpenAI's API.")],
  user: [field(ALL, text, "Of no effect here.")],
  encoding_format: [field(EMBEDDING, oneOf("float", "base64"), "How a vector is written.", { dropped: [null] })],
  dimensions: [field(EMBEDDING, integer(1), "Length of a vector. Only the model's own is given; another is refused.")],
  embd_normalize: [
    field(EMBEDDING, integer(-1, 100), "Norm to which vectors are scaled; -1: none, 2: Euclidean (the default).", {
      dropped: [null],
    }),
  ],

  stream: [
    field(GENERATING, boolean, "Send the answer piece by piece."),
    field(HEARING, oneOf("true", "false"), "The same."),
  ],
  stream_options: [field(GENERATING, streamOptions, "`include_usage`: end a stream with the counts of tokens.")],
  max_tokens: [field(GENERATING, tokenLimit, "Most tokens of the answer; -1: until the context is full.")],
  max_completion_tokens: [field(GENERATING, tokenLimit, "The same, in the newer word.")],
  n_predict: [field(GENERATING, integer(-1), "The same, in llama.cpp's word, which counts before the others.")],
  n: [field(GENERATING, integer(1, 128), "Answers to one prompt, at most the slots of the model.")],
  n_cmpl: [field(GENERATING, integer(1, 128), "The same, in llama.cpp's word.")],
  stop: [field(GENERATING, stop, "Texts that end the answer.")],
  seed: [field(GENERATING, seed, "Makes answers repeatable; -1: random.")],
  temperature: [
    field(GENERATING, number(0, 2), "0: the likeliest token always."),
    field(HEARING, writtenShare, "0: the likeliest words always."),
  ],
  top_p: [field(GENERATING, number(0, 1), "Only the likeliest tokens that together have this probability.")],
  top_k: [field(GENERATING, integer(-1), "Only so many of the likeliest tokens; 0 or less: all.")],
  min_p: [field(GENERATING, number(0, 1), "Only tokens with this share of the likeliest one's probability.")],
  typical_p: [field(GENERATING, number(0, 1), "Locally typical sampling; 1: off.")],
  top_n_sigma: [
    field(
      GENERATING,
      number(-1, 100),
      "Only tokens within so many standard deviations of the likeliest; below 0: off.",
    ),
  ],
  presence_penalty: [field(GENERATING, number(-2, 2), "Against tokens that were there.")],
  frequency_penalty: [field(GENERATING, number(-2, 2), "Against tokens, by how often they were there.")],
  repeat_penalty: [field(GENERATING, number(0.01, 100), "Factor against tokens that were there; 1: off.")],
  repeat_last_n: [field(GENERATING, integer(-1, MAX_LOOK_BACK), "How many tokens the penalties look back on; 0: off.")],
  dry_multiplier: [field(GENERATING, number(0, 100), "Against repeated sequences; 0: off.")],
  dry_base: [field(GENERATING, number(0, 100), "Growth of that penalty with the length of the sequence.")],
  dry_allowed_length: [field(GENERATING, integer(0), "Longest sequence that may be repeated.")],
  dry_penalty_last_n: [field(GENERATING, integer(-1, MAX_LOOK_BACK), "How many tokens it looks back on.")],
  dry_sequence_breakers: [field(GENERATING, texts(256, 40), "Texts at which sequences end.")],
  xtc_probability: [field(GENERATING, number(0, 1), "Probability of removing the most likely tokens; 0: never.")],
  xtc_threshold: [field(GENERATING, number(0, 1), "How probable those are.")],
  dynatemp_range: [field(GENERATING, number(0, 100), "How far the temperature varies; 0: not at all.")],
  dynatemp_exponent: [field(GENERATING, number(0, 100), "How it depends on entropy.")],
  mirostat: [field(GENERATING, integer(0, 2), "Mirostat sampling, version 1 or 2; 0: off.")],
  mirostat_tau: [field(GENERATING, number(0, 100), "Its target entropy.")],
  mirostat_eta: [field(GENERATING, number(0, 100), "Its learning rate.")],
  adaptive_target: [field(GENERATING, number(-1, 1), "Target probability of adaptive sampling; below 0: off.")],
  adaptive_decay: [field(GENERATING, number(0, 0.99), "How slowly it forgets.")],
  samplers: [field(GENERATING, samplers, "Which samplers are applied, in this order.")],
  min_keep: [field(GENERATING, integer(0), "Fewest tokens that a sampler leaves.")],
  logit_bias: [field(GENERATING, logitBias, "Makes single tokens likelier or less likely; false: never.")],
  ignore_eos: [field(GENERATING, boolean, "Go on after the end mark.")],
  n_probs: [field(GENERATING, integer(0, 100), "So many alternatives of each token, in llama.cpp's word.")],
  post_sampling_probs: [field(GENERATING, boolean, "Probabilities as they were after sampling.")],
  grammar: [field(GENERATING, text, "GBNF that the answer follows.", { dropped: [null] })],
  json_schema: [field(GENERATING, object, "JSON Schema that the answer follows. See below.")],
  lora: [field(GENERATING, adapters, "Adapters of the model.")],

  cache_prompt: [field(GENERATING, boolean, "Use what is cached of the prompt.")],
  n_cache_reuse: [field(GENERATING, integer(0), "Shortest piece that is reused from elsewhere in the cache.")],
  id_slot: [field(GENERATING, integer(-1), "The slot to use; -1: any.")],
  n_keep: [field(GENERATING, integer(-1), "Of no effect: nothing of a prompt is ever forgotten.")],
  n_discard: [field(GENERATING, integer(0), "Of no effect, likewise.")],
  n_indent: [field(GENERATING, integer(0), "Fewest spaces at the beginning of lines.")],
  t_max_predict_ms: [
    field(GENERATING, integer(-1), "Time in milliseconds after which the answer ends at the next line; -1: never."),
  ],
  return_tokens: [field(GENERATING, boolean, "Send token numbers too.")],
  return_progress: [field(GENERATING, boolean, "Send events while the prompt is evaluated.")],
  timings_per_token: [field(GENERATING, boolean, "Send timings with every token.")],
  sse_ping_interval: [field(GENERATING, pingInterval, "Seconds between comments in a silent stream; -1: none.")],
  response_fields: [field(GENERATING, texts(64, 200), "Fields of the engine's own answer.")],
  backend_sampling: [field(GENERATING, boolean, "Sample on the GPU.")],
  verbose: [field(GENERATING, boolean, "Send what the engine made of the request.")],

  tools: [
    field(
      CHAT,
      tools,
      "Functions that the model may call. Refused if the model's chat template does not support tools.",
    ),
    refused(COMPLETION, "Functions are for chats.", "Use /v1/chat/completions."),
  ],
  tool_choice: [
    field(CHAT, toolChoice, "Whether and which functions are called."),
    refused(COMPLETION, "Functions are for chats.", "Use /v1/chat/completions."),
  ],
  parallel_tool_calls: [field(CHAT, boolean, "Several calls in one answer.")],
  response_format: [
    field(CHAT, responseFormat, "`text`, `json_object`, or `json_schema` with a JSON Schema. See below."),
    refused(COMPLETION, "It is for chats.", "Use `json_schema` or `grammar`, or /v1/chat/completions."),
    field(
      SPEECH,
      oneOf("wav", "pcm", "mp3", "opus", "flac", "aac"),
      "Format of the sound; default `wav`. Those that the machine has no encoder for are refused.",
      { dropped: [null] },
    ),
    field(HEARING, oneOf("json", "text", "srt", "verbose_json", "vtt"), "Format of the transcript; default `json`."),
  ],
  logprobs: [
    field(CHAT, boolean, "Send the probability of each token."),
    field(COMPLETION, integer(0, 100), "Send the probability of each token, and of so many alternatives."),
  ],
  top_logprobs: [
    // llama-server takes 0 as a wish for no probabilities at all.
    field(CHAT, integer(0, 20), "And of so many alternatives. 0: as many as the engine gives of itself.", {
      dropped: [0],
    }),
  ],
  chat_template_kwargs: [field(CHAT, object, "Variables of the chat template.")],
  add_generation_prompt: [field(CHAT, boolean, "End the prompt where an answer begins.")],
  continue_final_message: [
    field(CHAT, either(boolean, oneOf("content", "reasoning_content")), "Go on with the last message."),
  ],
  reasoning_effort: [field(CHAT, text, "A variable of the chat template; `none`: no reasoning.")],
  reasoning_format: [
    field(CHAT, oneOf("none", "auto", "deepseek", "deepseek-legacy"), "Where reasoning goes in the answer.", {
      dropped: [null],
    }),
  ],
  reasoning_budget_tokens: [field(CHAT, integer(-1), "Most tokens of reasoning; -1: no limit.")],
  thinking_budget_tokens: [field(CHAT, integer(-1), "The same.")],
  reasoning_budget_message: [field(CHAT, text, "Text that ends reasoning over the budget.")],
  reasoning_control: [field(CHAT, boolean, "Allow reasoning to be ended while it runs.")],

  echo: [
    refused(CHAT, "The prompt before the answer.", NO_SUCH_ENGINE, [null, false]),
    refused(COMPLETION, "The prompt before the answer.", "Send the prompt as text, and no `logprobs`.", [null, false]),
  ],
  suffix: [
    refused(CHAT, "A text to come after the answer.", NO_SUCH_ENGINE, [null, ""]),
    field(COMPLETION, text, "The text after the gap that the answer fills, of models that can (`infill`).", {
      dropped: [null, ""],
    }),
  ],
  service_tier: [
    field(
      CHAT,
      oneOf(...Object.keys(serviceTiers)),
      "`flex`: waits behind others (priority 25); `priority`, `scale`: goes first (75). A header counts before it.",
    ),
  ],
  store: [
    field(
      CHAT,
      {
        passes: (value) => value === false,
        expected: "false: chats are not kept, responses are",
        schema: { enum: [false] },
      },
      "Keep the answer.",
    ),
  ],
  metadata: [field(CHAT, object, "Of no effect here.")],
  safety_identifier: [field(CHAT, text, "Of no effect here.")],
  prompt_cache_key: [field(CHAT, text, "No effect: cached prompts are found by their text.")],
  best_of: [refused(GENERATING, "The best of several answers.", "Use `n`, and choose among the answers.", [null, 1])],
  audio: [refused(CHAT, "Answers that are spoken.", NO_SUCH_ENGINE)],
  modalities: [field(CHAT, textOnly, "What the answer is.")],
  functions: [refused(GENERATING, "The older form of `tools`.", "Use `tools`.", [null])],
  function_call: [
    refused(GENERATING, "The older form of `tool_choice`.", "Use `tool_choice`.", [null, "auto", "none"]),
  ],
  web_search_options: [refused(CHAT, "Answers from the web.", NO_SUCH_ENGINE)],
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
    ].map((name) => [name, [refused(GENERATING, "What the engine passes on to itself.", INTERNAL)]]),
  ),
};
