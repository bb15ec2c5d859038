import { AssistantError } from "../core/errors.ts";
import { bodyOf, type InferenceCall, type JsonObject } from "../core/inference.ts";
import { type JsonSchema, Type } from "../core/schema.ts";

/** A pipeline's request. Additional fields are passed to its stages. */
export interface PipelineRequest extends JsonObject {
  readonly user: string;
  readonly Input: unknown;
  readonly text: string;
  /** Index of the stage that the request enters at. */
  readonly Entry: number;
  readonly conversation_id: string;
  readonly message_id: string;
}

/** JSON Schema of the body of `/input`. */
export const pipelineRequestSchema: JsonSchema = {
  ...Type.Object(
    {
      user: Type.String({ title: "User", description: "Who asks." }),
      Input: Type.Unsafe<unknown>({
        title: "Input",
        description: "Any value: the input of a first stage that does not accept text; audio in base64.",
      }),
      text: Type.String({ title: "Text", description: "The input of a first stage that accepts text." }),
      Entry: Type.Integer({ title: "Entry", minimum: 0, description: "Index of the stage to enter at; 0: the first." }),
      conversation_id: Type.Optional(Type.String({ title: "Conversation Id", default: "" })),
      message_id: Type.Optional(Type.String({ title: "Message Id", default: "" })),
      streamly: Type.Optional(
        Type.Boolean({
          title: "Streamly",
          default: true,
          description: "Stream the answer as events; false: return it in one piece.",
        }),
      ),
    },
    {
      title: "PipeLineRequest",
      additionalProperties: true,
      description: "Further fields reach the stages, such as `LLM` and `TTS`.",
    },
  ),
};

const types: Readonly<Record<string, { readonly text: string; readonly fits: (value: unknown) => boolean }>> = {
  user: { text: "a string", fits: (value) => typeof value === "string" },
  Input: { text: "any value", fits: (value) => value !== undefined },
  text: { text: "a string", fits: (value) => typeof value === "string" },
  Entry: { text: "an integer", fits: Number.isInteger },
  conversation_id: { text: "a string", fits: (value) => value === undefined || typeof value === "string" },
  message_id: { text: "a string", fits: (value) => value === undefined || typeof value === "string" },
  streamly: { text: "true or false", fits: (value) => value === undefined || typeof value === "boolean" },
};

/** Throws `invalid_request` naming the first wrong field. */
export function pipelineRequestOf(json: JsonObject): PipelineRequest {
  for (const [name, { text, fits }] of Object.entries(types)) {
    if (fits(json[name])) continue;
    const found = json[name] === undefined ? "it is missing" : `found ${JSON.stringify(json[name]).slice(0, 60)}`;
    throw new AssistantError("invalid_request", `The field "${name}" must be ${text}; ${found}.`, { param: name });
  }
  return { conversation_id: "", message_id: "", ...json } as PipelineRequest;
}

/** The call of a request in the pipelines' own format. */
export function inputCall(
  request: PipelineRequest,
): Pick<InferenceCall, "body" | "prompt" | "streamed" | "maxTokens" | "operation" | "wire"> {
  return {
    body: bodyOf(request),
    prompt: { text: request.text },
    streamed: request["streamly"] !== false,
    maxTokens: 0,
    operation: "infer",
    wire: "pipeline.input",
  };
}
