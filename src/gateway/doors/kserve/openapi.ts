import type { JsonSchema } from "../../../core/schema.ts";
import type { RouteDescription } from "../../front/describe.ts";
import { MAX_TENSORS } from "./request.ts";
import { datatypes, MAX_DIMENSIONS } from "./tensors.ts";

const TEXT: JsonSchema = { type: "string" };
const READY: JsonSchema = { type: "object", required: ["ready"], properties: { ready: { type: "boolean" } } };
const TENSOR = {
  name: TEXT,
  datatype: { enum: datatypes },
  shape: { type: "array", maxItems: MAX_DIMENSIONS, items: { type: "integer", minimum: 0 } },
};
const DATA: JsonSchema = { type: "array", description: "Elements in row-major order, flat or nested." };
const PARAMETERS: JsonSchema = {
  type: ["object", "null"],
  description:
    "Fields of OpenAI's completions, chats or embeddings, such as `max_tokens`, and `priority`, " +
    "`timeout` (microseconds).",
};

const inferRequest: JsonSchema = {
  title: "KserveInferRequest",
  type: "object",
  required: ["inputs"],
  additionalProperties: false,
  properties: {
    id: { type: ["string", "null"] },
    model_name: { type: ["string", "null"], description: "As in the path." },
    model_version: { type: ["string", "null"], description: "As in the path." },
    parameters: {
      ...PARAMETERS,
      properties: { binary_data_output: { type: "boolean", description: "All outputs come in binary form." } },
    },
    inputs: {
      type: "array",
      maxItems: MAX_TENSORS,
      items: {
        type: "object",
        required: ["name", "datatype", "shape"],
        properties: {
          ...TENSOR,
          data: DATA,
          parameters: {
            type: ["object", "null"],
            additionalProperties: false,
            properties: {
              binary_data_size: { type: "integer", minimum: 0, description: "Bytes behind the JSON." },
              content_type: { description: "Of no effect." },
            },
          },
        },
      },
    },
    outputs: {
      type: ["array", "null"],
      maxItems: MAX_TENSORS,
      items: {
        type: "object",
        required: ["name"],
        properties: {
          name: TEXT,
          parameters: {
            type: ["object", "null"],
            additionalProperties: false,
            properties: { binary_data: { type: "boolean" } },
          },
        },
      },
    },
  },
};

const ANSWER_HEAD = { model_name: TEXT, model_version: TEXT, id: TEXT };
const inferAnswer: JsonSchema = {
  title: "KserveInferResponse",
  type: "object",
  required: ["model_name", "model_version", "outputs"],
  properties: {
    ...ANSWER_HEAD,
    outputs: {
      type: "array",
      items: {
        type: "object",
        required: ["name", "datatype", "shape"],
        properties: { ...TENSOR, data: DATA, parameters: { type: "object" } },
      },
    },
  },
};

const TEXTS: JsonSchema = { type: ["string", "array", "null"], items: TEXT };
const generateRequest: JsonSchema = {
  title: "KserveGenerateRequest",
  type: "object",
  description: "Other fields are parameters.",
  properties: {
    id: { type: ["string", "integer", "null"] },
    text_input: TEXTS,
    messages: {
      type: ["array", "string", "null"],
      description: "Messages of a chat, as in OpenAI's API, instead of a text.",
    },
    parameters: PARAMETERS,
  },
};
const generateAnswer: JsonSchema = {
  title: "KserveGenerateResponse",
  type: "object",
  description: "One field per output; a list if it has several elements.",
  required: ["model_name", "model_version"],
  properties: { ...ANSWER_HEAD, text_output: TEXTS, finish_reason: TEXTS },
};

const metadataTensors: JsonSchema = {
  type: "array",
  items: {
    type: "object",
    required: ["name", "datatype", "shape"],
    properties: { ...TENSOR, shape: { type: "array", items: { type: "integer", minimum: -1 } } },
  },
};
const modelMetadata: JsonSchema = {
  title: "KserveModelMetadata",
  description: "For `{name}/ready`, `{name, ready}`, with status 503 if it is not ready.",
  type: "object",
  required: ["name"],
  properties: {
    name: TEXT,
    versions: { type: "array", items: TEXT },
    platform: TEXT,
    inputs: metadataTensors,
    outputs: metadataTensors,
    ready: { type: "boolean" },
  },
};

const json = (schema: JsonSchema): NonNullable<RouteDescription["answers"]> => ({ "application/json": schema });
const BODY_OPTIONAL = { bodyOptional: true } as const;

/** The routes by method and path. */
export const described: Readonly<Record<string, RouteDescription>> = {
  "GET /v2": {
    summary: "Name, version and extensions of the server",
    answers: json({
      type: "object",
      properties: { name: TEXT, version: TEXT, extensions: { type: "array", items: TEXT } },
    }),
  },
  "GET /v2/health/live": {
    summary: "Whether the daemon runs",
    answers: json({ type: "object", properties: { live: { type: "boolean" } } }),
  },
  "GET /v2/health/ready": { summary: "Whether the daemon accepts requests; 503 if not", answers: json(READY) },
  "GET /v2/models": {
    summary: "Names of the models",
    answers: json({ type: "object", properties: { models: { type: "array", items: TEXT } } }),
  },
  "GET /v2/models/*": {
    summary: "Tensors of a model, or whether it is ready",
    description: "`/versions/1` may follow the name, and `/ready` after that.",
    answers: json(modelMetadata),
  },
  "POST /v2/models/*/infer": {
    summary: "Answer a request in tensors",
    description:
      "`/versions/1` may follow the name. With `Inference-Header-Content-Length`, " +
      "binary tensors follow the JSON of that length, in requests and answers.",
    body: inferRequest,
    answers: { "application/json": inferAnswer, "application/octet-stream": { type: "string", format: "binary" } },
  },
  "POST /v2/models/*/infer_stream": {
    summary: "The same, as a stream of events",
    body: inferRequest,
    answers: { "text/event-stream": inferAnswer },
  },
  "POST /v2/models/*/generate": {
    summary: "Continue a text or answer a chat, in Triton's format",
    body: generateRequest,
    answers: json(generateAnswer),
  },
  "POST /v2/models/*/generate_stream": {
    summary: "The same, as a stream of events",
    body: generateRequest,
    answers: { "text/event-stream": generateAnswer },
  },
  "POST /infer": {
    summary: "Call a worker by the capabilities in the headers `X-Capability-*`, in protobuf",
    description: "Body and answer are KServe's ModelInferRequest and ModelInferResponse.",
    body: { type: "string", format: "binary" },
    bodyType: "application/octet-stream",
    answers: { "application/octet-stream": { type: "string", format: "binary" } },
  },
  "POST /infer/json": {
    summary: "The same, in the JSON of `/v2/models/{model}/infer`",
    body: inferRequest,
    answers: json(inferAnswer),
  },
  "POST /infer/stream": {
    summary: "The same, as a stream of events",
    body: inferRequest,
    answers: { "text/event-stream": inferAnswer },
  },
  "POST /v2/repository/index": {
    summary: "The models, and which are ready",
    body: { type: "object", additionalProperties: false, properties: { ready: { type: "boolean" } } },
    ...BODY_OPTIONAL,
    answers: json({
      type: "array",
      items: {
        type: "object",
        properties: { name: TEXT, version: TEXT, state: { enum: ["READY", "UNAVAILABLE"] }, reason: TEXT },
      },
    }),
  },
  "POST /v2/repository/models/*": {
    summary: "Load or unload a model: `/load` or `/unload` follows the name",
    body: {
      type: "object",
      additionalProperties: false,
      properties: {
        parameters: {
          type: "object",
          additionalProperties: false,
          properties: { unload_dependents: { type: "boolean", description: "Of no effect." } },
        },
      },
    },
    ...BODY_OPTIONAL,
  },
};

export const errorSchema: JsonSchema = {
  title: "KserveError",
  type: "object",
  required: ["error"],
  properties: { error: TEXT },
};
