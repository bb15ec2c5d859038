import type { Static, TSchema } from "typebox";
import { Type } from "../core/schema.ts";

const Nullable = <T extends TSchema>(schema: T) => Type.Union([schema, Type.Null()]);

/** One model as `list --json` prints it. */
export const ListedModel = Type.Object({
  name: Type.String(),
  aliases: Type.Array(Type.String()),
  kind: Nullable(Type.String()),
  capabilities: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number(), Type.Boolean()]), {
    description: "its capabilities, according to its configuration and weights",
  }),
  bytes: Nullable(Type.Number()),
  quantization: Nullable(Type.String()),
  trainContextTokens: Nullable(Type.Number()),
  source: Type.String(),
  program: Nullable(Type.String({ description: 'program that runs it (`engine = "command"`)' })),
  file: Nullable(Type.String()),
  readable: Type.Boolean({ description: "whether the file exists and is a valid model" }),
  problem: Nullable(Type.String({ description: "the problem with the file" })),
  contextTokens: Nullable(Type.Number({ description: "of one request, as configured" })),
  pulledAt: Nullable(Type.Number({ description: "epoch milliseconds" })),
  configured: Type.Boolean(),
  loaded: Type.Boolean(),
  providers: Type.Array(Type.String(), { description: "providers of the model; empty for a local model" }),
});
export type ListedModel = Static<typeof ListedModel>;

/** A model that no engine of this machine runs, as known to the daemon. */
export const ModelElsewhere = Type.Object({
  name: Type.String(),
  aliases: Type.Array(Type.String()),
  kind: Type.String(),
  nodes: Type.Array(Type.String(), {
    description: "remote servers that are up and have it; none for a provider's",
  }),
  provider: Nullable(Type.String({ description: "the provider that offers it" })),
  servedBy: Type.Enum(["remote", "worker", "pipeline", "provider"]),
});
export type ModelElsewhere = Static<typeof ModelElsewhere>;

/** Everything that is configured or pulled, and what is only elsewhere. */
export const ModelList = Type.Object({
  configFile: Type.String(),
  models: Type.Array(ListedModel),
  elsewhere: Type.Array(ModelElsewhere),
  problem: Nullable(Type.String({ description: "why the current configuration differs from the files" })),
});
export type ModelList = Static<typeof ModelList>;
