import { type JsonSchema, Type } from "../../../core/schema.ts";
import { providers } from "../../../registry/registry.ts";
import { statedBody } from "../../front/checked-body.ts";
import type { RouteDescription } from "../../front/describe.ts";
import {
  CloudConfig,
  CompatibilityQuestion,
  LocalConfig,
  NamedModel,
  PresetRegistration,
  Registration,
} from "./wire.ts";

const ModelInfo: JsonSchema = {
  title: "ModelInfo",
  ...(Type.Object({
    name: Type.String(),
    provider: Type.String(),
    context_window: Type.Union([Type.Integer(), Type.Null()]),
    max_output_tokens: Type.Union([Type.Integer(), Type.Null()]),
    supports_streaming: Type.Boolean(),
    supports_structured_output: Type.Boolean(),
    loaded: Type.Boolean(),
  }) as unknown as JsonSchema),
};
const registration: JsonSchema = {
  ...statedBody(Registration),
  properties: {
    name: { type: "string" },
    provider: { enum: [...providers] },
    config: { anyOf: [statedBody(LocalConfig), statedBody(CloudConfig)] },
  },
};
const registered = { status: 201, answers: { "application/json": ModelInfo } };
const named: Pick<RouteDescription, "body" | "bodyOptional" | "query"> = {
  body: statedBody(NamedModel),
  bodyOptional: true,
  query: { properties: { model_name: { type: "string", description: "Instead of a body." } } },
};

/** The routes under `/api/v1/models`. */
export const described = {
  list: { summary: "List the models" },
  show: { summary: "Show a model", answers: { "application/json": ModelInfo } },
  presets: { summary: "List the presets" },
  download: { summary: "Show how far the download of a preset is" },
  register: { summary: "Register a model", body: registration, ...registered },
  registerPreset: { summary: "Register a preset", body: statedBody(PresetRegistration), ...registered },
  compatibility: { summary: "Show whether a preset fits this machine", body: statedBody(CompatibilityQuestion) },
  load: { summary: "Load a model", ...named },
  unload: { summary: "Unload a model", ...named },
  delete: {
    summary: "Delete a model's entry; its weights stay",
    status: 204,
    query: {
      properties: {
        cleanup: {
          enum: ["true", "false"],
          description: "Makes no difference: running requests may finish, until drain_timeout_s has passed.",
        },
      },
    },
  },
} satisfies Readonly<Record<string, RouteDescription>>;
