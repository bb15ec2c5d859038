import { AssistantError } from "../core/errors.ts";
import type { JsonObject } from "../core/inference.ts";
import type { ModelSpec } from "../core/model.ts";
import type { TaskBody } from "./body.ts";

/** Used if neither the request nor the model's settings have a value. */
const GLOBAL = { temperature: 0.1, max_tokens: 2048, top_p: 1, top_k: 40 } as const;

/** Fields of a task, with their names in OpenAI's chat format. */
const SAMPLING = {
  temperature: "temperature",
  max_tokens: "max_tokens",
  top_p: "top_p",
  top_k: "top_k",
  frequency_penalty: "frequency_penalty",
  presence_penalty: "presence_penalty",
  stop_sequences: "stop",
  seed: "seed",
} as const;
type SamplingField = keyof typeof SAMPLING;

/** Fields of a chat request for which a task has its own names, or that its caller may not set. */
const NOT_EXTRA = new Set<string>([
  ...Object.values(SAMPLING),
  ...["model", "messages", "stream", "stream_options", "n", "response_format", "grammar", "json_schema"],
]);

export interface Ordered {
  /** A chat request in OpenAI's format, without `model` and `stream`. */
  readonly request: JsonObject;
  /** The schema that the answer must match as JSON. */
  readonly schema: JsonObject | null;
}

/** The body without null fields, which count as missing. */
export const withoutNulls = (body: unknown): unknown =>
  typeof body === "object" && body !== null && !Array.isArray(body)
    ? Object.fromEntries(Object.entries(body).filter(([, value]) => value !== null))
    : body;

/**
 * Name or alias of the model: `provider_config.model_name`, then `model`, then the conversation's. Throws
 * `invalid_request` if there is none.
 */
export function modelNameOf({ provider_config: config, model }: TaskBody, ofConversation: string | null): string {
  const name = config?.model_name ?? model ?? ofConversation ?? undefined;
  if (name !== undefined) return name;
  throw new AssistantError("invalid_request", "model: expected the name of a model, found nothing.", {
    param: "model",
    remedy: "`GET /api/v1/models` lists the models.",
  });
}

/** The chat request of a task. Throws `invalid_request` or `unsupported_capability`. */
export function orderedOf(body: TaskBody, model: Pick<ModelSpec, "sampling" | "source">): Ordered {
  const extra = body.extra_params ?? {};
  const taken = Object.keys(extra).find((name) => NOT_EXTRA.has(name));
  if (taken !== undefined)
    throw new AssistantError(
      "invalid_request",
      `extra_params.${taken}: expected a field that a task has no name for, found ${taken}.`,
      { param: `extra_params.${taken}` },
    );
  if (body.grammar !== undefined && model.source.type === "provider")
    throw new AssistantError("unsupported_capability", "grammar: models of a service elsewhere follow no grammar.", {
      param: "grammar",
      remedy: "Send `output_schema`, or use a model of this machine.",
    });
  const { format, schema } = structureOf(body);
  return {
    request: {
      ...extra,
      messages: messagesOf(body),
      ...samplingOf(body, model),
      ...(format === null ? {} : { response_format: format }),
      ...(body.grammar === undefined ? {} : { grammar: body.grammar }),
    },
    schema,
  };
}

/** Messages take precedence over a prompt; the input text follows the prompt. */
function messagesOf({ messages, prompt, input_text: input }: TaskBody): readonly object[] {
  if (messages !== undefined && messages.length > 0) return messages;
  if (prompt === undefined)
    throw new AssistantError("invalid_request", "Expected a prompt or messages; found neither.", {
      param: "prompt",
    });
  return [{ role: "user", content: input === undefined ? prompt : `${prompt}\n\n${input}` }];
}

/**
 * A field of the task, then of `generation_params`, of `provider_config`, of the model's settings, then the default.
 */
function samplingOf(body: TaskBody, { sampling, source }: Pick<ModelSpec, "sampling" | "source">): JsonObject {
  const ofModel: Readonly<Record<SamplingField, boolean>> = {
    temperature: sampling.temperature !== null,
    max_tokens: sampling.maxTokens >= 0,
    top_p: sampling.topP !== null,
    // Remote services refuse fields that their API does not have.
    top_k: sampling.topK !== null || source.type === "provider",
    frequency_penalty: true,
    presence_penalty: true,
    stop_sequences: true,
    seed: true,
  };
  const given = (field: SamplingField): unknown =>
    body[field] ?? body.generation_params?.[field] ?? body.provider_config?.[field];
  const usual = (field: SamplingField): unknown =>
    ofModel[field] ? undefined : (GLOBAL as Partial<Record<SamplingField, number>>)[field];
  return Object.fromEntries(
    (Object.keys(SAMPLING) as SamplingField[])
      .map((field) => [SAMPLING[field], given(field) ?? usual(field)] as const)
      .filter(([, value]) => value !== undefined),
  );
}

/** `output_schema` takes precedence over `response_format`. */
function structureOf({ output_schema: own, response_format: format, grammar }: TaskBody): {
  readonly format: JsonObject | null;
  readonly schema: JsonObject | null;
} {
  const chosen =
    own === undefined ? (format ?? null) : { type: "json_schema", json_schema: { name: "output", schema: own } };
  if (chosen !== null && grammar !== undefined)
    throw new AssistantError(
      "invalid_request",
      `The fields "grammar" and "${own === undefined ? "response_format" : "output_schema"}" are both set; an answer can only follow one.`,
      { param: "grammar" },
    );
  return { format: chosen, schema: chosen === null ? null : schemaOf(chosen) };
}

function schemaOf(format: JsonObject): JsonObject | null {
  if (format["type"] === "json_object") return { type: "object" };
  const wrapper = format["json_schema"] as { readonly schema?: JsonObject } | null | undefined;
  return format["type"] === "json_schema" ? (wrapper?.schema ?? null) : null;
}
