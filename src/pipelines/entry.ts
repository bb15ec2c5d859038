import { AssistantError } from "../core/errors.ts";
import type { InferenceCall, JsonObject } from "../core/inference.ts";
import type { ChatDecoder } from "./model-calls.ts";
import { pipelineRequestOf } from "./request.ts";
import type { NamedStage } from "./stage.ts";

/** How a call enters a pipeline. */
export interface Entry {
  /** Of the stage it enters at. */
  readonly index: number;
  /** What that stage gets. */
  readonly input: unknown;
  readonly user: string;
  /** The whole request, as stages see it. */
  readonly request: JsonObject;
  readonly messages: readonly unknown[] | null;
  readonly generation: JsonObject;
}

/** Parses a call in any format that pipelines support. Throws `invalid_request`. */
export function entryOf(call: InferenceCall, stages: readonly NamedStage[], decode: ChatDecoder): Entry {
  switch (call.wire) {
    case "openai.chat":
      return chatEntry(call, stages, decode);
    case "openai.speech":
      return speechEntry(call, stages);
    default:
      return inputEntry(call, stages);
  }
}

function inputEntry({ body }: InferenceCall, stages: readonly NamedStage[]): Entry {
  const request = pipelineRequestOf(body.json);
  const { Entry: index, user, text, Input } = request;
  const stage = stages[index];
  if (stage === undefined)
    throw new AssistantError(
      "invalid_request",
      `"Entry" must be a stage of the pipeline, from 0 to ${stages.length - 1}; found ${index}.`,
      { param: "Entry" },
    );
  return { index, input: inputFor(stage, text, Input), user, request, messages: null, generation: {} };
}

/** What a stage gets that takes text is `text`; others get `Input`, or `text` where that holds nothing. */
function inputFor({ accepts }: NamedStage, text: string, input: unknown): unknown {
  const isEmpty = input === null || input === "";
  switch (accepts) {
    case "text":
      return text;
    case "audio":
      return soundOf(input, "Input");
    case "json":
      return isEmpty ? jsonOf(text, "text") : input;
    default:
      return isEmpty ? text : input;
  }
}

/** Of a chat's fields, those that are no parameters of generation. */
const OWN: ReadonlySet<string> = new Set(
  "model messages stream stream_options modalities audio user metadata store service_tier tools tool_choice parallel_tool_calls n".split(
    " ",
  ),
);
/** What a pipeline has no way to obey, and whether these stages have none. */
const REFUSED: readonly (readonly [
  field: string,
  asks: (value: unknown) => boolean,
  lacks: (stages: readonly NamedStage[]) => boolean,
])[] = [
  ["tools", (value) => Array.isArray(value) && value.length > 0, () => true],
  ["n", (value) => typeof value === "number" && value > 1, () => true],
  ["logprobs", (value) => value === true, () => true],
  [
    "response_format",
    (value) => ((value as JsonObject | null | undefined)?.["type"] ?? "text") !== "text",
    (stages) => !stages.some(({ asksModel }) => asksModel),
  ],
  [
    "modalities",
    (value) => Array.isArray(value) && value.includes("audio"),
    (stages) => !stages.some(({ emits }) => emits === "audio"),
  ],
];

function chatEntry({ body: { json } }: InferenceCall, stages: readonly NamedStage[], decode: ChatDecoder): Entry {
  for (const [name, asks, lacks] of REFUSED)
    if (asks(json[name]) && lacks(stages))
      throw new AssistantError("unsupported_capability", `A pipeline answers no chat with "${name}".`, {
        param: name,
        remedy: `Leave "${name}" out, or ask the model of the stage itself.`,
      });
  const { audio: _, modalities: __, ...plain } = json;
  decode(plain).checked?.();
  const messages = json["messages"] as readonly { readonly role?: unknown; readonly content?: unknown }[];
  const asked = messages.findLast(({ role }) => role === "user");
  if (asked === undefined)
    throw new AssistantError("invalid_request", "A pipeline requires a user message; found none.", {
      param: "messages",
    });
  const text = textOf(asked.content);
  const first = stages[0] as NamedStage;
  const recording = partOf(asked.content, "input_audio");
  const image = partOf(asked.content, "image_url");
  const taken = first.asksModel === true || first.accepts === "image" || image === null;
  if (!taken || (recording !== null && first.asksModel !== true && first.accepts !== "audio"))
    throw new AssistantError("unsupported_capability", `The pipeline takes ${first.accepts}, and no other parts.`, {
      param: "messages",
      remedy: `Send ${first.accepts} alone.`,
    });
  const input =
    first.accepts === "audio"
      ? soundOf((recording as { readonly data?: unknown } | null)?.data, "messages")
      : first.accepts === "json"
        ? jsonOf(text, "messages")
        : first.accepts === "image"
          ? ((image as { readonly url?: unknown } | null)?.url ?? null)
          : text;
  const user = typeof json["user"] === "string" ? json["user"] : "";
  const request = { ...json, user, text, Input: null, Entry: 0, conversation_id: "", message_id: "" };
  return { index: 0, input, user, request, messages, generation: parametersIn(json, known(stages)) };
}

/** Sections of stages are no parameters either. */
const known = (stages: readonly NamedStage[]): ReadonlySet<string> => new Set(stages.map(({ section }) => section));

const parametersIn = (json: JsonObject, sections: ReadonlySet<string>): JsonObject =>
  Object.fromEntries(Object.entries(json).filter(([name]) => !OWN.has(name) && !sections.has(name)));

function speechEntry({ body: { json } }: InferenceCall, stages: readonly NamedStage[]): Entry {
  const { input: text } = json;
  if (typeof text !== "string" || text === "")
    throw new AssistantError("invalid_request", 'The field "input" must be a non-empty string.', {
      param: "input",
    });
  const first = stages[0] as NamedStage;
  if (first.accepts !== "text")
    throw new AssistantError("wrong_model_kind", `The pipeline accepts ${first.accepts}, not text.`, {
      param: "model",
    });
  const { voice } = json;
  const request = { user: "", text, Input: null, Entry: 0, ...(voice === undefined ? {} : { TTS: { voice } }) };
  return { index: 0, input: text, user: "", request, messages: null, generation: {} };
}

function textOf(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content)) return "";
  return content
    .map((part: { readonly type?: unknown; readonly text?: unknown }) =>
      part.type === "text" && typeof part.text === "string" ? part.text : "",
    )
    .join("");
}

/** The object of the first part of a type. */
function partOf(content: unknown, type: string): unknown {
  if (!Array.isArray(content)) return null;
  return content.find((part: { readonly type?: unknown }) => part.type === type)?.[type] ?? null;
}

/** Sound in base64, as it is or in a data URL. */
function soundOf(data: unknown, param: string): Buffer {
  const base64 = typeof data === "string" ? data.replace(/^data:[^,]*,/, "") : "";
  if (base64 === "" || !/^[A-Za-z0-9+/_=-]+$/.test(base64))
    throw new AssistantError("invalid_request", "The pipeline's first stage accepts audio: expected it in base64.", {
      param,
      remedy: "Send a WAV file as `Input`, or in a part `input_audio` of a chat.",
    });
  return Buffer.from(base64, "base64");
}

function jsonOf(text: string, param: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new AssistantError("invalid_request", "The pipeline's first stage accepts JSON, and the text is not JSON.", {
      param,
    });
  }
}
