import { type JsonSchema, Type } from "../../../core/schema.ts";
import type { RouteDescription } from "../../front/describe.ts";

const Nullable = (schema: object) => Type.Union([schema as never, Type.Null()]);
const schemaOf = (title: string, properties: object): JsonSchema => ({
  title,
  ...(Type.Object(properties as never) as unknown as JsonSchema),
});

const Model = schemaOf("Model", {
  id: Type.String(),
  object: Type.Literal("model"),
  created: Type.Integer(),
  owned_by: Type.String(),
  aliases: Type.Array(Type.String()),
  kind: Type.String(),
  capabilities: { type: "object" },
  context_length: Nullable(Type.Integer()),
  meta: Nullable(
    Type.Object({
      n_ctx: Type.Integer(),
      n_ctx_train: Nullable(Type.Integer()),
      n_params: Type.Number(),
      size: Type.Integer({ description: "bytes" }),
    }),
  ),
});
const listOf = (title: string, items: object, more: object = {}): JsonSchema =>
  schemaOf(title, { object: Type.Literal("list"), data: Type.Array(items as never), ...more });

const voices = Type.Array(
  Type.Object({ object: Type.Literal("voice"), model: Type.String() }, { description: "the default first" }),
);
const Progress = schemaOf("RequestProgress", {
  id: Type.String(),
  object: Type.Literal("request"),
  model: Type.String(),
  state: Type.Enum(["waiting", "prefilling", "answering"]),
  reason: Nullable(Type.String()),
  place: Nullable(Type.Integer()),
  expected_start_ms: Nullable(Type.Integer()),
  age_ms: Type.Integer(),
  instance: Nullable(Type.String()),
});

const json = (summary: string, schema: JsonSchema): RouteDescription => ({
  summary,
  answers: { "application/json": schema },
});

/** The routes that answer from memory. */
export const described = {
  request: json("Show the progress of an unfinished request", Progress),
  health: json("Show whether the daemon takes requests", schemaOf("Health", { status: Type.Literal("ok") })),
  models: json("List the models", listOf("ModelList", Model)),
  model: json("Show a model", Model),
  info: json(
    "Show the server and its default models",
    schemaOf("ServerInfo", {
      api_server: Type.Object({ type: Type.String(), version: Type.String(), port: Type.Optional(Type.String()) }),
      chat_model: Nullable({ type: "object" }),
      embedding_model: Nullable({ type: "object" }),
      tts_model: Nullable({ type: "object" }),
      extras: Type.Object({ models: Type.Array(Type.String()) }),
    }),
  ),
  voices: {
    ...json("List the voices of the speech models", listOf("VoiceList", voices.items, { voices })),
    query: schemaOf("VoiceQuery", {
      model: Type.Optional(Type.String({ description: "Name or alias of one speech model." })),
    }),
  },
} satisfies Readonly<Record<string, RouteDescription>>;
